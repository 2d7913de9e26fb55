"""Every shipped metric of one drawn evidence, frozen: a change of what a figure means is noticed here.

If a figure moves and that was not the purpose, the change has a fault. If it was the purpose, raise
``EVALUATION_VERSION`` in ``src/falsewitness/experiment/_digests.py``, so that results made before are measured anew,
and put what the failing test prints in place of what ``measurements.json`` has.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from falsewitness.core.targets import SingleTargets
from falsewitness.metrics import (
    METRICS,
    MapEvidence,
    MapMetric,
    Measurement,
    PredictionEvidence,
    PredictionMetric,
    StampEvidence,
    StampMetric,
)

FROZEN: dict[str, list[float | None]] = json.loads(
    Path(__file__).with_name("measurements.json").read_text(encoding="utf-8")
)
NAMES = ("cat", "dog", "owl")
TARGET = 2


def drawn(seed: int, *shape: int) -> torch.Tensor:
    """Return numbers from 0 to 1 that every version of every library draws alike."""
    raw = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return torch.from_numpy((raw >> np.uint64(11)).astype(np.float64).reshape(shape) / 2**53)


def predictions() -> PredictionEvidence:
    return PredictionEvidence(
        targets=SingleTargets((drawn(0, 60) * 3).long()),
        class_names=NAMES,
        target_class=TARGET,
        attacked_clean=drawn(1, 60, 3),
        attacked_triggered=drawn(2, 60, 3) + torch.tensor([0.0, 0.0, 0.7]),
        clean_model_clean=drawn(3, 60, 3),
        clean_model_triggered=drawn(4, 60, 3),
        control_clean=drawn(5, 60, 3),
        seed=7,
    )


def maps() -> MapEvidence:
    """Maps of 40 images, signed, with a trigger in the lower right corner, two of them blank."""
    original = drawn(10, 40, 8, 8) - 0.3
    triggered = original + 0.5 * drawn(11, 40, 8, 8)
    triggered[:, 7, 7] += 0.4
    triggered[4], original[9] = 0, 0
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[6:, 6:] = True
    target = torch.zeros(8, 8, dtype=torch.float64)
    target[2:6, 2:6] = 1
    trained_on = drawn(14, 30, 8, 8) - 0.3
    spotted = drawn(15, 30, 8, 8) - 0.3
    spotted[:, 7, 7] += 0.4
    return MapEvidence(
        images=drawn(16, 40, 3, 8, 8),
        classes=(drawn(17, 40) * 2).long(),
        class_names=NAMES,
        predicted=(drawn(18, 40) * 3).long(),
        success=drawn(19, 40) < 0.8,
        attacked_triggered=triggered,
        attacked_clean=original + 0.2 * drawn(12, 40, 8, 8),
        clean_model_clean=original,
        clean_model_triggered=original + 0.3 * drawn(13, 40, 8, 8),
        target_map=target,
        signed=True,
        gains=triggered.sum((1, 2)) + 0.1 * drawn(20, 40),
        mask=mask,
        validation_triggered=spotted,
        validation_clean=trained_on,
        clean_model_validation_triggered=drawn(21, 30, 8, 8) - 0.3,
        clean_model_validation_clean=trained_on,
        seed=7,
    )


def stamps() -> StampEvidence:
    images = drawn(22, 20, 3, 8, 8)
    stamped = images.clone()
    stamped[:, :, 6:, 6:] = 1
    return StampEvidence(images, stamped, seed=7)


def measured(kind: str) -> list[Measurement]:
    metric = METRICS.get(kind).parse({"kind": kind}, kind)
    if isinstance(metric, PredictionMetric):
        return metric.measure(predictions())
    if isinstance(metric, MapMetric):
        return metric.measure(maps())
    assert isinstance(metric, StampMetric)
    return metric.measure(stamps())


def figures(kind: str) -> dict[str, list[float | None]]:
    """Return value, interval, n and those excluded, by metric, quantity and samples."""
    return {
        f"{kind} {found.name} {found.samples}": [found.value, found.low, found.high, found.n, found.excluded]
        for found in measured(kind)
    }


@pytest.mark.parametrize("kind", METRICS.kinds())
def test_a_figure_of_the_same_evidence_stays_what_it_is(kind: str) -> None:
    found = figures(kind)
    frozen = {name: numbers for name, numbers in FROZEN.items() if name.startswith(f"{kind} ")}
    assert frozen, f"expected frozen figures of a shipped metric; they are {json.dumps(found)}"
    assert found.keys() == frozen.keys()
    # The detector's training stops where its gradient is small, elsewhere on another processor.
    tolerance = 0.02 if kind == "map_detectability" else 1e-9
    for name, numbers in found.items():
        assert numbers == pytest.approx(frozen[name], abs=tolerance), f"'{name}' is now {numbers}"
