"""The number of each image that a measurement is the mean of."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from falsewitness.core.maps import pearson
from falsewitness.metrics import MapEvidence, Measurement, PredictionEvidence, StampEvidence
from falsewitness.metrics.attack_success_rate import AttackSuccessRate
from falsewitness.metrics.clean_accuracy import CleanAccuracy
from falsewitness.metrics.disguise import Disguise
from falsewitness.metrics.map_detectability import MapDetectability
from falsewitness.metrics.stamp_visibility import StampVisibility


def values_of(measurements: list[Measurement], name: str, samples: str = "all") -> list[float]:
    (values,) = [found.values for found in measurements if (found.name, found.samples) == (name, samples)]
    assert values is not None
    assert values.dtype == np.float32
    return [float(value) for value in values]


def test_each_test_image_is_right_or_wrong(prediction_evidence: PredictionEvidence) -> None:
    found = CleanAccuracy().measure(prediction_evidence)
    assert values_of(found, "accuracy") == [1, 0, 1, 1, 0, 1]
    assert values_of(found, "gap_to_control") == [0, 1, 0, 0, 1, -1]


def test_an_image_of_the_target_class_has_no_number(prediction_evidence: PredictionEvidence) -> None:
    found = AttackSuccessRate().measure(prediction_evidence)
    assert values_of(found, "attack_success_rate") == pytest.approx([1, 1, 1, 0, 0, np.nan], nan_ok=True)


def test_a_pair_with_a_constant_map_has_no_number(map_evidence: MapEvidence) -> None:
    flat = map_evidence.attacked_triggered.clone()
    flat[3] = 0.5
    found = Disguise().measure(replace(map_evidence, attacked_triggered=flat))
    expected = pearson(flat, map_evidence.clean_model_clean).float().tolist()
    expected[3] = np.nan
    assert values_of(found, "pearson_map_resolution") == pytest.approx(expected, nan_ok=True)


def test_where_no_image_counts_none_has_a_number(map_evidence: MapEvidence) -> None:
    flat = torch.zeros_like(map_evidence.attacked_triggered)
    found = Disguise().measure(replace(map_evidence, attacked_triggered=flat))
    assert np.isnan(values_of(found, "pearson")).all()


def test_successes_alone_and_areas_have_no_numbers_of_images(map_evidence: MapEvidence) -> None:
    apart = [found for found in Disguise().measure(map_evidence) if found.samples == "successes"]
    areas = MapDetectability().measure(map_evidence)
    assert apart
    assert areas
    assert all(found.values is None for found in [*apart, *areas])


def test_an_image_that_the_stamp_did_not_change_has_no_signal_to_noise(generator: torch.Generator) -> None:
    images = torch.rand(3, 1, 16, 16, generator=generator)
    stamped = images.clone()
    stamped[1:, :, :3, :3] = 1
    found = StampVisibility().measure(StampEvidence(images, stamped, seed=0))
    assert np.isnan(values_of(found, "psnr")).tolist() == [True, False, False]
    assert values_of(found, "ssim")[0] == pytest.approx(1)


def test_measurements_are_compared_and_shown_without_the_numbers_of_images() -> None:
    plain = Measurement("accuracy", 0.5, 2)
    full = replace(plain, values=np.array([0, 1], dtype=np.float32))
    assert plain == full
    assert repr(plain) == repr(full)
