"""The detector of triggered maps against one written out: features by loops, Newton's method, areas by pairs."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.metrics.conftest import CLASS_NAMES

from falsewitness.core import seed_for
from falsewitness.metrics import MapEvidence, Measurement
from falsewitness.metrics._statistics import RESAMPLES
from falsewitness.metrics.map_detectability import MapDetectability, MapFeatures, _detector_scores, _features

Array = np.ndarray
POOLED = 3
MAP_SIDE = 5


def slow_features(values: Array) -> list[float]:
    """Of one map of 5 x 5 that varies."""
    flat = [float(value) for row in values for value in row]
    n = len(flat)
    mean = sum(flat) / n
    deviation = (sum((value - mean) ** 2 for value in flat) / n) ** 0.5
    shape = (values - mean) / deviation
    standard = [(value - mean) / deviation for value in flat]
    statistics = [
        np.log(deviation),
        np.log(sum(abs(value) for value in flat) / n),
        min(standard),
        max(standard),
        sum(value**3 for value in standard) / n,
        sum(value**4 for value in standard) / n,
        sum(value > 0 for value in standard) / n,
        sum(value == 0 for value in flat) / n,
    ]
    ends = [(0, 2), (1, 4), (3, 5)]  # cell i of 3 covers floor(5 i / 3) to ceil(5 (i + 1) / 3)
    pooled = [shape[top:bottom, left:right].mean() for top, bottom in ends for left, right in ends]
    return [*statistics, *pooled]


def slow_logistic_regression(rows: Array, labels: Array) -> Callable[[Array], Array]:
    """Minimise half the squared weights plus the sum of the log losses; the intercept is free."""
    design = np.column_stack([rows, np.ones(len(rows))])
    penalty = np.diag([1.0] * rows.shape[1] + [0.0])
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        chances = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (chances - labels) + penalty @ weights
        curvature = (design * (chances * (1 - chances))[:, None]).T @ design + penalty
        weights = weights - np.linalg.solve(curvature, gradient)
    return lambda rows: np.column_stack([rows, np.ones(len(rows))]) @ weights


def slow_scores(clean: Array, triggered: Array, test_clean: Array, test_triggered: Array) -> tuple[Array, Array]:
    seen = [np.array([slow_features(values) for values in maps]) for maps in (clean, triggered)]
    known = np.concatenate(seen)
    mean, deviation = known.mean(0), known.std(0)
    judge = slow_logistic_regression((known - mean) / deviation, np.repeat([0, 1], [len(clean), len(triggered)]))
    of_clean, of_triggered = (
        judge((np.array([slow_features(values) for values in maps]) - mean) / deviation)
        for maps in (test_clean, test_triggered)
    )
    return of_clean, of_triggered


def slow_area(clean: Array, triggered: Array) -> float:
    won = [1.0 if high > low else 0.5 if high == low else 0.0 for high in triggered for low in clean]
    return sum(won) / len(won)


@pytest.fixture
def evidence(map_evidence: MapEvidence, generator: torch.Generator) -> MapEvidence:
    """Maps of 5 x 5 with some zeros; triggered ones are a little brighter at one place, another in the two models."""

    def maps(count: int, place: tuple[int, int] | None = None, more: float = 0.0) -> torch.Tensor:
        found = torch.rand(count, MAP_SIDE, MAP_SIDE, generator=generator, dtype=torch.float64).mul(10).round() - 2
        if place is not None:
            found[:, *place] += more
        return found

    return replace(
        map_evidence,
        attacked_clean=maps(12),
        attacked_triggered=maps(12, (4, 4), 3),
        clean_model_clean=maps(12),
        clean_model_triggered=maps(12, (0, 2), 2),
        validation_clean=maps(30),
        validation_triggered=maps(30, (4, 4), 3),
        clean_model_validation_clean=maps(30),
        clean_model_validation_triggered=maps(30, (0, 2), 2),
        target_map=None,
        success=torch.arange(12) % 4 > 0,
    )


@pytest.fixture
def scores(evidence: MapEvidence) -> dict[str, tuple[Array, Array]]:
    """Of the two models' test maps."""

    def of(*names: str) -> tuple[Array, Array]:
        return slow_scores(*(getattr(evidence, name).numpy() for name in names))

    return {
        "auroc": of("validation_clean", "validation_triggered", "attacked_clean", "attacked_triggered"),
        "without_attack_auroc": of(
            "clean_model_validation_clean",
            "clean_model_validation_triggered",
            "clean_model_clean",
            "clean_model_triggered",
        ),
    }


def expected_value(scores: dict[str, tuple[Array, Array]], name: str, rows: Array) -> float:
    areas = {of: slow_area(clean[rows], triggered[rows]) for of, (clean, triggered) in scores.items()}
    return areas["auroc"] - areas["without_attack_auroc"] if name == "excess_auroc" else areas[name]


def test_the_detector_sees_eight_statistics_and_the_pooled_map(evidence: MapEvidence) -> None:
    maps = evidence.attacked_triggered
    expected = np.array([slow_features(values) for values in maps.numpy()])
    np.testing.assert_allclose(_features(maps, POOLED), expected, atol=1e-9)


def test_the_detector_is_a_logistic_regression_on_what_validation_maps_standardise(
    evidence: MapEvidence, scores: dict[str, tuple[Array, Array]]
) -> None:
    sets = ("validation_clean", "validation_triggered", "attacked_clean", "attacked_triggered")
    features = [_features(getattr(evidence, name), POOLED) for name in sets]
    seen = [MapFeatures(shape, np.zeros(len(shape), dtype=bool)) for shape in features]
    for found, expected in zip(_detector_scores(*seen), scores["auroc"], strict=True):
        np.testing.assert_allclose(found, expected, atol=0.02)  # scikit-learn stops at a gradient of 1e-4


@pytest.mark.parametrize("name", ["auroc", "without_attack_auroc", "excess_auroc"])
@pytest.mark.parametrize("samples", ["all", "successes"])
def test_areas_are_counted_pair_by_pair(
    evidence: MapEvidence, scores: dict[str, tuple[Array, Array]], name: str, samples: str
) -> None:
    found = measured(evidence, name, samples)
    rows = evidence.success.numpy() if samples == "successes" else np.ones(12, dtype=bool)
    assert (found.n, found.excluded, found.interval) == (rows.sum(), 0, "bootstrap")
    assert found.value == pytest.approx(expected_value(scores, name, rows))
    of_class = {
        label: expected_value(scores, name, rows & (evidence.classes.numpy() == index))
        for index, label in enumerate(CLASS_NAMES[:2])
    }
    assert found.per_class == pytest.approx(of_class if samples == "all" else {})


@pytest.mark.parametrize("name", ["auroc", "excess_auroc"])
@pytest.mark.parametrize("samples", ["all", "successes"])
def test_intervals_draw_the_images_that_count_anew(
    evidence: MapEvidence, scores: dict[str, tuple[Array, Array]], name: str, samples: str
) -> None:
    found = measured(evidence, name, samples)
    rows = np.flatnonzero(evidence.success.numpy()) if samples == "successes" else np.arange(12)
    draws = np.random.default_rng(seed_for(evidence.seed, "bootstrap"))
    drawn = draws.integers(0, len(rows), size=(RESAMPLES, len(rows)), dtype=np.int32)
    resampled = [expected_value(scores, name, rows[these]) for these in drawn]
    assert [found.low, found.high] == pytest.approx(np.percentile(resampled, [2.5, 97.5]).tolist())


def test_one_image_has_an_area_and_no_interval(evidence: MapEvidence) -> None:
    alone = measured(replace(evidence, success=torch.arange(12) == 5), "auroc", "successes")
    assert (alone.n, alone.low, alone.high, alone.interval) == (1, None, None, "none")
    assert alone.value in (0, 0.5, 1)
    nothing = measured(replace(evidence, success=torch.zeros(12, dtype=torch.bool)), "auroc", "successes")
    assert (nothing.n, nothing.value) == (0, None)


def measured(evidence: MapEvidence, name: str, samples: str) -> Measurement:
    all_found = MapDetectability(pooled_size=POOLED).measure(evidence)
    (found,) = (found for found in all_found if (found.name, found.samples) == (name, samples))
    return found
