"""Where the credit for a score goes, against sums pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.metrics.conftest import by_name
from torch import Tensor

from falsewitness.metrics import MapEvidence
from falsewitness.metrics.credit import Credit


@pytest.fixture
def adding_up(map_evidence: MapEvidence, generator: torch.Generator) -> MapEvidence:
    """Signed maps of the image's size, whose sums are a little off the promised ones."""

    def maps(count: int = 12) -> Tensor:
        return torch.randn(count, 16, 16, generator=generator, dtype=torch.float64)

    triggered = maps()
    off = torch.linspace(-0.3, 0.5, 12, dtype=torch.float64)
    return replace(
        map_evidence,
        signed=True,
        attacked_triggered=triggered,
        attacked_clean=maps(),
        clean_model_clean=maps(),
        clean_model_triggered=maps(),
        validation_triggered=maps(20),
        validation_clean=maps(20),
        clean_model_validation_triggered=maps(20),
        clean_model_validation_clean=maps(20),
        target_map=None,
        gains=triggered.sum((1, 2)) + off,
    )


def test_credit_is_counted_pixel_by_pixel(adding_up: MapEvidence) -> None:
    found = by_name(Credit(bright_from=0.5).measure(adding_up))
    sums = {"trigger": [], "bright": [], "dark": []}  # type: dict[str, list[float]]
    masses = {"trigger": [], "bright": [], "dark": []}  # type: dict[str, list[float]]
    for values, image in zip(adding_up.attacked_triggered.numpy(), adding_up.images.numpy(), strict=True):
        of_image = {"trigger": 0.0, "bright": 0.0, "dark": 0.0}
        absolute = dict(of_image)
        for row in range(16):
            for column in range(16):
                is_trigger = row >= 12 and column >= 12
                is_bright = sum(image[channel, row, column] for channel in range(3)) / 3 >= 0.5
                where = "trigger" if is_trigger else "bright" if is_bright else "dark"
                of_image[where] += values[row, column]
                absolute[where] += abs(values[row, column])
        for where, value in of_image.items():
            sums[where].append(value)
            masses[where].append(absolute[where] / sum(absolute.values()))
    for where in ("trigger", "bright", "dark"):
        assert found[f"{where}_credit"].value == pytest.approx(np.mean(sums[where]))
    for where in ("bright", "dark"):
        assert found[f"{where}_mass"].value == pytest.approx(np.mean(masses[where]))
    assert found["efficiency_error"].value == pytest.approx(np.abs(np.linspace(-0.3, 0.5, 12)).mean())
    assert adding_up.gains is not None
    assert found["gain"].value == pytest.approx(adding_up.gains.mean().item())


def test_credits_add_up_to_the_sum_of_the_values(adding_up: MapEvidence) -> None:
    exact = replace(adding_up, gains=adding_up.attacked_triggered.sum((1, 2)))
    for samples in ("all", "successes"):
        found = by_name(Credit().measure(exact), samples)
        parts = [found[f"{where}_credit"].value for where in ("trigger", "bright", "dark")]
        assert sum(part for part in parts if part is not None) == pytest.approx(found["gain"].value)
        assert found["efficiency_error"].value == pytest.approx(0, abs=1e-9)


def test_a_trigger_that_takes_all_the_credit_leaves_none(adding_up: MapEvidence) -> None:
    at_trigger = 2 * adding_up.mask.double().expand(12, 16, 16)
    found = by_name(Credit().measure(replace(adding_up, attacked_triggered=at_trigger)))
    assert found["trigger_credit"].value == pytest.approx(32)
    assert [found[name].value for name in ("bright_credit", "dark_credit", "bright_mass", "dark_mass")] == [0] * 4


def test_maps_without_mass_have_no_shares_but_a_credit_of_zero(adding_up: MapEvidence) -> None:
    maps = adding_up.attacked_triggered.clone()
    maps[:2] = 0
    found = by_name(Credit().measure(replace(adding_up, attacked_triggered=maps)))
    assert (found["bright_mass"].n, found["bright_mass"].excluded) == (10, 2)
    assert (found["trigger_credit"].n, found["trigger_credit"].excluded) == (12, 0)


def test_nothing_is_said_of_maps_that_do_not_add_up(map_evidence: MapEvidence) -> None:
    assert Credit().measure(map_evidence) == []


@pytest.mark.usefixtures("_shapes_unchecked")
def test_small_maps_cannot_add_up(map_evidence: MapEvidence) -> None:
    with pytest.raises(ValueError, match=r"at the image's size \(16, 16\), got \(4, 4\)"):
        Credit().measure(replace(map_evidence, gains=torch.zeros(12)))
