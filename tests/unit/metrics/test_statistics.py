import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from falsewitness.metrics import _statistics
from falsewitness.metrics._statistics import (
    FloatArray,
    agresti_min,
    auroc,
    bootstrap_means,
    percentile_interval,
    resampled_auroc,
    wilson,
)


def slow_auroc(negatives: FloatArray, positives: FloatArray) -> float:
    won = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    return float(won / (len(negatives) * len(positives)))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_examples(successes: int, n: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 1998, table I, method 3."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(n=st.integers(1, 100_000), data=st.data())
@settings(max_examples=100, deadline=None)
def test_wilson_ends_are_where_the_score_test_turns(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    share = successes / n
    for end in wilson(successes, n):
        assert 0 <= end <= 1
        if 0 < end < 1:
            assert (share - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n, rel=1e-5)


def test_wilson_mirrors_failures() -> None:
    low, high = wilson(3, 17)
    assert wilson(14, 17) == pytest.approx((1 - high, 1 - low))


@given(n=st.integers(1, 100_000), data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_interval_of_a_difference_is_the_normal_one_of_a_table_with_half_a_trial_more_in_each_field(
    n: int, data: st.DataObject
) -> None:
    """Agresti and Min, Statistics in Medicine 2005, section 2."""
    gained = data.draw(st.integers(0, n))
    lost = data.draw(st.integers(0, n - gained))
    first_alone, second_alone, trials = gained + 0.5, lost + 0.5, n + 2
    p, q = first_alone / trials, second_alone / trials
    deviation = math.sqrt((p + q - (p - q) ** 2) / trials)
    low, high = max(-1, p - q - 1.959964 * deviation), min(1, p - q + 1.959964 * deviation)
    difference = (gained - lost) / n
    assert agresti_min(gained, lost, n) == pytest.approx((min(low, difference), max(high, difference)), abs=1e-6)


@pytest.mark.parametrize("n", [143, 359, 10_000])
@pytest.mark.parametrize("difference", [0.0, 0.001, 0.003, 0.01, 0.05])
def test_the_interval_of_a_difference_holds_where_one_model_alone_errs(n: int, difference: float) -> None:
    counts = range(n + 1)
    ends = np.array([agresti_min(count, 0, n) for count in counts])
    holds = (ends[:, 0] <= difference) & (difference <= ends[:, 1])
    assert stats.binom.pmf(counts, n, difference)[holds].sum() > 0.92


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 0, 0), (2, 1, 2), (-1, 0, 2), (0, -1, 2)])
def test_the_interval_of_a_difference_refuses_impossible_counts(gained: int, lost: int, n: int) -> None:
    with pytest.raises(ValueError, match="expected gained, lost >= 0"):
        agresti_min(gained, lost, n)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="expected 0 <= successes <= n"):
        wilson(successes, n)


def test_bootstrap_interval_of_a_mean_is_that_of_the_normal_for_many_images() -> None:
    values = np.random.default_rng(0).exponential(size=(2_000, 1))
    half_width = 1.96 * values.std() / np.sqrt(len(values))
    (interval,) = bootstrap_means(values, seed=0)
    assert interval == pytest.approx((values.mean() - half_width, values.mean() + half_width), abs=0.1 * half_width)


def test_bootstrap_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    generator = np.random.default_rng(0)
    samples = generator.exponential(size=(300, 80, 1))
    intervals = [bootstrap_means(values, seed)[0] for seed, values in enumerate(samples)]
    covered = np.mean([low <= 1 <= high for low, high in intervals])
    assert 0.90 <= covered <= 0.98


def test_a_paired_difference_is_narrower_than_its_parts_where_they_agree() -> None:
    generator = np.random.default_rng(0)
    first = generator.normal(size=500)
    second = first + 0.1 * generator.normal(size=500)
    part, _, difference = bootstrap_means(np.stack([first, second, first - second], axis=1), seed=0)
    assert difference.high - difference.low < 0.2 * (part.high - part.low)


def test_bootstrap_is_the_same_for_a_seed_and_another_for_another() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    assert bootstrap_means(values, 1) == bootstrap_means(values, 1)
    assert bootstrap_means(values, 1) != bootstrap_means(values, 2)


def test_the_interval_of_equal_values_is_that_value() -> None:
    assert bootstrap_means(np.full((7, 1), 0.1), seed=0) == [pytest.approx((0.1, 0.1))]


def test_bootstrap_of_ten_thousand_images_stays_in_bounded_memory() -> None:
    values = np.random.default_rng(0).normal(size=(10_000, 1))
    tracemalloc.start()
    try:
        bootstrap_means(values, seed=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100e6


@given(
    negatives=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    positives=st.lists(st.integers(0, 5), min_size=1, max_size=12),
)
@settings(max_examples=60, deadline=None)
def test_auroc_counts_the_pairs_won_and_half_of_the_ties(negatives: list[int], positives: list[int]) -> None:
    low, high = np.array(negatives, dtype=np.float64), np.array(positives, dtype=np.float64)
    labels = np.repeat([0, 1], [len(low), len(high)])
    assert auroc(low, high) == pytest.approx(slow_auroc(low, high))
    assert auroc(low, high) == pytest.approx(roc_auc_score(labels, np.concatenate([low, high])))


def test_bootstrap_of_auroc_agrees_with_resampling_one_by_one() -> None:
    generator = np.random.default_rng(0)
    negatives = generator.normal(size=60).round(1)
    positives = (0.5 * negatives + 0.6 + generator.normal(size=60)).round(1)
    areas = []
    for _ in range(2_000):
        rows = generator.integers(0, 60, 60)
        differences = positives[rows][:, None] - negatives[rows]
        areas.append(np.mean((differences > 0) + (differences == 0) / 2))
    expected = np.percentile(areas, [2.5, 97.5])
    found = percentile_interval(auroc(negatives, positives), resampled_auroc(negatives, positives, seed=1))
    assert found == pytest.approx(tuple(expected), abs=0.012)


def test_resamples_are_the_same_in_however_many_parts_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(10, 2))
    whole = bootstrap_means(values, seed=1)
    monkeypatch.setattr(_statistics, "_DRAWS_AT_ONCE", 70)
    assert bootstrap_means(values, seed=1) == whole
    assert bootstrap_means(values, seed=2) != whole


def test_an_interval_holds_its_value_however_skewed_the_images_are() -> None:
    assert percentile_interval(0.9, np.linspace(0, 0.5, 101)).high == 0.9
    assert percentile_interval(-0.1, np.linspace(0, 0.5, 101)).low == -0.1


def test_two_detectors_of_the_same_images_are_drawn_together() -> None:
    generator = np.random.default_rng(0)
    negatives = generator.normal(size=60).round(1)
    positives = (negatives + 0.8 + 0.5 * generator.normal(size=60)).round(1)
    first, second = (negatives, positives), (negatives, (positives - 0.3).round(1))
    differences = []
    for _ in range(2_000):
        rows = generator.integers(0, 60, 60)
        one, other = (slow_auroc(low[rows], high[rows]) for low, high in (first, second))
        differences.append(one - other)
    expected = np.percentile(differences, [2.5, 97.5])
    drawn, drawn_too = resampled_auroc(*first, seed=1), resampled_auroc(*second, seed=1)
    found = percentile_interval(auroc(*first) - auroc(*second), drawn - drawn_too)
    assert found == pytest.approx(tuple(expected), abs=0.008)
    assert np.std(drawn - drawn_too) < 0.6 * np.std(drawn)  # what the images have in common is not in it
