"""Comparisons over seeds and images, against slow versions that resample as the words say, and against exact sums."""

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from falsewitness.benchmark._statistics import Comparison, Numbers, holm, paired_bootstrap, paired_seeds, spread

Setting = list[Numbers]
Images = list[NDArray[np.int64]]
Make = Callable[[int, int, float, np.random.Generator], tuple[Setting, Setting]]


def all_of(setting: Setting) -> Images:
    """The same images for all seeds."""
    return [np.arange(len(of_seed)) for of_seed in setting]


def compared(
    first: Setting, second: Setting, images: Images | None = None, seed: int = 0, resamples: int = 2_000
) -> Comparison:
    comparison = paired_bootstrap(first, second, images or all_of(first), seed=seed, resamples=resamples)
    assert comparison is not None
    return comparison


def error_of(comparison: Comparison, first: Setting, second: Setting) -> float:
    """The deviation of the resamples, from the standard error that was made of it."""
    return math.sqrt(comparison.error**2 - share_of_seeds(first, second) / comparison.seeds)


def share_of_seeds(first: Setting, second: Setting) -> float:
    """The variance of the mean over seeds, were the seeds all that differs."""
    means = [float(np.nanmean(a.astype(float) - b)) for a, b in zip(first, second, strict=True)]
    return float(np.var(means, ddof=1)) / len(means) if len(means) > 1 else 0.0


def satterthwaite(differences: NDArray[np.float64]) -> float:
    """The degrees of freedom of ``[seeds, images]``, as in the paper: of a sum of two variances."""
    seeds, images = differences.shape
    shares = [
        (float(np.var(differences.mean(axis), ddof=1)) / count, count - 1)
        for axis, count in ((1, seeds), (0, images))
        if count > 1
    ]
    return math.fsum(share for share, _ in shares) ** 2 / math.fsum(share**2 / freedom for share, freedom in shares)


def slow_error(first: Setting, second: Setting, images: Images, resamples: int, seed: int) -> float:
    """Draw seeds, and images for all of them at once: one loop for each word."""
    generator = np.random.default_rng(seed)
    of_seeds = [
        {int(i): float(a) - float(b) for a, b, i in zip(*of_seed, strict=True) if not (math.isnan(a) or math.isnan(b))}
        for of_seed in zip(first, second, images, strict=True)
    ]
    every = sorted({image for of_seed in of_seeds for image in of_seed})
    found = []
    for _ in range(resamples):
        drawn = [every[place] for place in generator.choice(len(every), size=len(every))]
        means = []
        for chosen in generator.choice(len(of_seeds), size=len(of_seeds)):
            its = [of_seeds[chosen][image] for image in drawn if image in of_seeds[chosen]]
            if its:
                means.append(math.fsum(its) / len(its))
        if means:
            found.append(math.fsum(means) / len(means))
    return float(np.std(found))


def exact_error(differences: NDArray[np.float64]) -> float:
    """The deviation that resamples of ``[seeds, images]`` tend to, by the moments of draws with replacement.

    How often seeds s and t are drawn has the mean product 1 - 1/S, or 2 - 1/S where they are the same; images
    likewise.
    """
    seeds, images = differences.shape
    of_seeds, of_images = 1 - 1 / seeds, 1 - 1 / images
    square = (
        (differences**2).sum()
        + of_images * (differences.sum(1) ** 2).sum()
        + of_seeds * (differences.sum(0) ** 2).sum()
        + of_seeds * of_images * differences.sum() ** 2
    )
    return float(np.sqrt(square / (seeds * images) ** 2 - differences.mean() ** 2))


def continuous(seeds: int, images: int, shift: float, generator: np.random.Generator) -> tuple[Setting, Setting]:
    second = [generator.normal(size=images) for _ in range(seeds)]
    return [of_seed + generator.normal(shift, 1, size=images) + generator.normal(0, 0.2) for of_seed in second], second


def right_or_wrong(seeds: int, images: int, shift: float, generator: np.random.Generator) -> tuple[Setting, Setting]:
    def answers(share: float) -> Setting:
        return [(generator.random(images) < share).astype(np.float32) for _ in range(seeds)]

    return answers(0.6 + shift / 2), answers(0.6)


SPLITS: dict[str, Images] = {
    "one seed": [np.arange(60)],
    "the same images": [np.arange(60)] * 3,
    "the same images in another order": [np.arange(60), np.arange(60)[::-1], np.roll(np.arange(60), 7)],
    "some images in common": [np.arange(60), np.arange(30, 90), np.arange(50, 65)],
    "no image in common": [np.arange(60), np.arange(60, 120), np.arange(200, 203)],
}


@pytest.mark.parametrize("make", [continuous, right_or_wrong])
@pytest.mark.parametrize("splits", SPLITS.values(), ids=SPLITS)
def test_the_error_is_that_of_drawing_seeds_and_images_crosswise(make: Make, splits: Images) -> None:
    first, second = make(len(splits), 60, 0.2, np.random.default_rng(1))
    first, second = ([a[: len(i)] for a, i in zip(setting, splits, strict=True)] for setting in (first, second))
    first[0][[3, 5]], second[0][[5, 8]] = np.nan, np.nan
    found = compared(first, second, splits, resamples=20_000)
    assert error_of(found, first, second) == pytest.approx(slow_error(first, second, splits, 3_000, seed=1), rel=0.06)
    expected = np.mean([np.nanmean(a.astype(float) - b) for a, b in zip(first, second, strict=True)])
    assert found.difference == pytest.approx(expected, abs=1e-12)
    assert (found.low + found.high) / 2 == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("make", [continuous, right_or_wrong])
@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_the_error_tends_to_the_exact_one(make: Make, seeds: int) -> None:
    first, second = make(seeds, 200, 0.2, np.random.default_rng(seeds))
    found = compared(first, second, resamples=20_000)
    exact = exact_error(np.array(first, dtype=np.float64) - np.array(second))
    assert error_of(found, first, second) == pytest.approx(exact, rel=4 / math.sqrt(2 * 20_000))


@pytest.mark.parametrize("seeds", [1, 2, 3, 10])
@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, 2.0])
def test_the_p_value_is_students_and_agrees_with_the_interval(seeds: int, shift: float) -> None:
    first, second = continuous(seeds, 100, shift, np.random.default_rng(0))
    found = compared(first, second)
    assert found.freedom == pytest.approx(satterthwaite(np.array(first) - np.array(second)))
    reach = stats.t.ppf(0.975, found.freedom) * found.error
    assert (found.low, found.high) == pytest.approx((found.difference - reach, found.difference + reach))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(found.difference) / found.error, found.freedom), rel=1e-6)
    assert (found.p_value < 0.05) is not (found.low <= 0 <= found.high)


def test_what_an_image_does_to_all_seeds_alike_does_not_average_out() -> None:
    images = np.random.default_rng(0).normal(size=400)
    nothing = np.zeros(400)
    one = compared([images], [nothing], resamples=20_000).error
    for seeds in (2, 5):
        same = compared([images] * seeds, [nothing] * seeds, resamples=20_000)
        assert same.error == pytest.approx(one, rel=0.03)
        assert same.freedom == pytest.approx(399)  # it is known from as many images
    apart = compared([images] * 2, [nothing] * 2, [np.arange(400), np.arange(400, 800)], resamples=20_000)
    # Half the variance, and half as much again where the same seed is drawn twice.
    assert apart.error == pytest.approx(one * math.sqrt(3 / 4), rel=0.03)


def test_few_values_are_resampled_as_many_are() -> None:
    """Right and wrong answers take the way through counts of values; a trifle added to each image closes that way."""
    first, second = right_or_wrong(3, 2_000, 0.1, np.random.default_rng(0))
    trifle = np.linspace(0, 1e-9, 2_000)
    by_counts = compared(first, second, resamples=10_000)
    by_images = compared([of_seed + trifle for of_seed in first], second, resamples=10_000)
    assert by_images.error == pytest.approx(by_counts.error, rel=0.04)


WORLDS = {"seeds differ most": (0.5, 0.0, 1.0), "images do": (0.0, 1.0, 0.3), "nothing is shared": (0.0, 0.0, 1.0)}
TOO_FEW = {("seeds differ most", 2): 0.84}
"""What the interval covers at least where it covers less than it says: two seeds tell little of other seeds."""


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("world", WORLDS)
def test_the_interval_covers_the_truth_at_least_as_often_as_it_says(seeds: int, world: str) -> None:
    of_seed, of_image, own = WORLDS[world]
    generator, truth, covered = np.random.default_rng(seeds), 0.3, 0
    for repetition in range(200):
        images = generator.normal(truth, of_image, size=50)
        first = [images + generator.normal(generator.normal(0, of_seed), own, size=50) for _ in range(seeds)]
        found = compared(first, [np.zeros(50)] * seeds, seed=repetition, resamples=200)
        covered += found.low <= truth <= found.high
    assert covered / 200 >= TOO_FEW.get((world, seeds), 0.91)


def test_the_interval_of_one_seed_covers_what_its_models_do_on_other_images() -> None:
    generator, truth, covered = np.random.default_rng(0), 0.3, 0
    for repetition in range(400):
        found = compared([generator.normal(truth, 1, size=60)], [np.zeros(60)], seed=repetition, resamples=300)
        covered += found.low <= truth <= found.high
    assert 0.92 < covered / 400 < 0.975


def test_p_values_of_equal_settings_with_one_seed_are_spread_evenly() -> None:
    generator = np.random.default_rng(0)
    found = [
        compared([generator.normal(size=80)], [generator.normal(size=80)], seed=repetition, resamples=500).p_value
        for repetition in range(400)
    ]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_a_clear_difference_is_told_with_its_size() -> None:
    generator = np.random.default_rng(0)
    first, second = continuous(5, 200, 2, generator)
    found = compared(first, second)
    assert 0 < found.low < found.difference < found.high
    assert found.p_value < 1 / 2_000  # the number of resamples is no floor
    pairs = np.concatenate([a - b for a, b in zip(first, second, strict=True)])
    assert found.effect == pytest.approx(pairs.mean() / pairs.std(ddof=1))
    assert (found.over, found.seeds, found.images) == ("seeds and images", 5, 1_000)
    other_way = compared(second, first)
    assert other_way.difference == pytest.approx(-found.difference)
    assert other_way.p_value == pytest.approx(found.p_value)


def test_images_that_one_setting_excludes_do_not_count() -> None:
    first = [np.array([1, np.nan, 3, 4], dtype=np.float32), np.array([np.nan, np.nan])]
    second = [np.array([0, 0, np.nan, 1], dtype=np.float32), np.array([1.0, 2.0])]
    found = compared(first, second)
    assert found.difference == 2  # of images 0 and 3 of the first seed
    assert (found.over, found.seeds, found.images) == ("images", 1, 2)


def test_nothing_is_compared_where_no_image_counts_or_one_of_one_seed() -> None:
    nothing, something, three = [np.full(3, np.nan)], [np.ones(3)], [np.arange(3)]
    assert paired_bootstrap(nothing, something, three, seed=0) is None
    assert paired_bootstrap([], [], [], seed=0) is None
    assert paired_bootstrap([np.empty(0)], [np.empty(0)], [np.empty(0, np.int64)], seed=0) is None
    assert paired_bootstrap([np.ones(1)], [np.zeros(1)], [np.arange(1)], seed=0) is None
    two_seeds = compared([np.ones(1), np.full(1, 2.0)], [np.zeros(1)] * 2, [np.array([5]), np.array([6])])
    assert (two_seeds.over, two_seeds.images) == ("seeds and images", 2)


@pytest.mark.parametrize(("shift", "effect", "p_value"), [(0.0, 0.0, 1.0), (0.1, None, 0.0)])
@pytest.mark.parametrize("images", [1, 30])
def test_pairs_that_all_differ_alike_have_no_error_and_no_effect_size_unless_they_are_equal(
    images: int, shift: float, effect: float | None, p_value: float
) -> None:
    second = [np.random.default_rng(seed).normal(size=images) for seed in range(3)]
    found = compared([np.full(images, shift)] * 3, [np.zeros(images)] * 3)
    assert (found.effect, found.p_value) == (effect, p_value)
    assert (found.low, found.high) == pytest.approx((shift, shift))
    assert compared(second, second).effect == 0
    of_seeds = paired_seeds([shift] * 3, [0.0] * 3)
    assert of_seeds is not None
    assert (of_seeds.effect, of_seeds.p_value) == (effect, p_value)
    assert (of_seeds.low, of_seeds.high) == pytest.approx((shift, shift))


def test_a_seed_of_the_resampling_gives_the_same_comparison_and_another_one_nearly() -> None:
    first, second = continuous(3, 50, 0.1, np.random.default_rng(0))
    assert compared(first, second, seed=1) == compared(first, second, seed=1)
    assert compared(first, second, seed=1).low != compared(first, second, seed=2).low


def test_settings_of_other_seeds_or_images_are_refused() -> None:
    one, two, images = np.zeros(3), np.zeros(4), np.arange(3)
    with pytest.raises(ValueError, match=r"got \[3\] and \[4\] numbers of \[3\] images"):
        paired_bootstrap([one], [two], [images], seed=0)
    with pytest.raises(ValueError, match=r"got \[3, 3\] and \[3, 3\] numbers of \[3\] images"):
        paired_bootstrap([one, one], [one, one], [images], seed=0)
    with pytest.raises(ValueError, match="each image once in a seed, got one twice"):
        paired_bootstrap([one], [one], [np.array([0, 1, 1])], seed=0)
    with pytest.raises(ValueError, match="the same seeds, got 2 and 3"):
        paired_seeds([1, 2], [1, 2, 3])


@pytest.mark.parametrize("make", [continuous, right_or_wrong])
def test_ten_thousand_images_of_five_seeds_are_compared_in_little_memory(make: Make) -> None:
    first, second = make(5, 10_000, 0, np.random.default_rng(0))
    tracemalloc.start()
    compared(first, second, resamples=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000


def test_areas_are_compared_by_students_t_of_the_seeds() -> None:
    first, second = [0.9, 0.8, 0.95, np.nan, 0.7], [0.5, 0.6, 0.55, 0.5, np.nan]
    found = paired_seeds(first, second)
    assert found is not None
    test = stats.ttest_rel(first[:3], second[:3])
    interval = test.confidence_interval(0.95)
    assert found.difference == pytest.approx(1 / 3)
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    differences = np.array([0.4, 0.2, 0.4])
    assert found.effect == pytest.approx(differences.mean() / differences.std(ddof=1))
    assert (found.over, found.seeds, found.images) == ("seeds", 3, 0)


@pytest.mark.parametrize("values", [[], [0.5], [0.5, np.nan]])
def test_one_seed_is_no_comparison_of_areas(values: list[float]) -> None:
    assert paired_seeds(values, [0.4] * len(values)) is None


def test_the_interval_of_a_spread_is_students() -> None:
    values = [0.91, 0.93, 0.88, 0.95]
    found = spread(values)
    assert (found.mean, found.deviation, found.n) == pytest.approx((0.9175, 0.029861, 4), abs=1e-6)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_single_seed_has_no_spread() -> None:
    assert spread([0.5]) == (0.5, None, 1, None, None)
    with pytest.raises(ValueError, match="got none"):
        spread([])


def slow_holm(p_values: list[float]) -> list[float]:
    """Holm's procedure for every level: the corrected value is the smallest level that rejects."""

    def rejected(level: float) -> set[int]:
        left, out = set(range(len(p_values))), set()
        while left:
            best = min(left, key=lambda place: p_values[place])
            if p_values[best] * len(left) > level:
                break
            out.add(best)
            left.remove(best)
        return out

    levels = sorted({1.0} | {min(1.0, p * (k + 1)) for p in p_values for k in range(len(p_values))})
    return [next((level for level in levels if place in rejected(level)), 1.0) for place in range(len(p_values))]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holms_values_are_the_smallest_levels_that_reject(p_values: list[float]) -> None:
    found = holm(p_values)
    assert found == pytest.approx(slow_holm(p_values))
    assert all(p <= corrected <= 1 for p, corrected in zip(p_values, found, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.array(found)[order]) >= 0)


def test_holms_values_are_those_worked_out_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_not_corrected(wrong: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([0.5, wrong])
