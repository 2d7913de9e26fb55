"""Whether settings differ: spreads over seeds, paired comparisons over seeds and images, corrected p-values.

Pure functions of numbers, seeded where they draw. What two settings share is drawn for both: a seed and an image. So
the differences of pairs are what is looked at.

Seeds are trained apart, but judged on the same test images: what an image does to the models of all seeds alike does
not average out over seeds. So seeds and images are drawn crosswise. And seeds are few: resamples of two to five tell a
standard error, but no tails, which Student's t has.

How often intervals of 95 % cover the truth, in %, with 2, 3, 5 and 10 seeds of 200 images (normal differences, 500
resamples, 2,000 repetitions, so that a figure has a standard error of 0.7 at most):

- seeds differ most (deviation 0.5, and 1 of each image by itself): 90, 95, 95, 96;
- images do, alike for all seeds (1, and 0.3 of each by itself): 95, 96, 96, 96;
- nothing is shared (1 of each image by itself): 100, 100, 100, 100.

So they err on the safe side where a seed and an image do something only together, which resamples count up to three
times (Owen, 2007), and two seeds tell too little where seeds differ most. A single seed's interval, of its own models
before other images, covers 95.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2_000
"""Bootstrap resamples that a standard error is read from: it is then known to 2 %."""

_UPPER_END = 0.975  # of a 95 % interval

Numbers = NDArray[np.float64]
Identities = NDArray[np.int64]
Over = Literal["seeds and images", "images", "seeds"]

_DRAWS_AT_ONCE = 200_000  # bounds the memory
_DRAWS_A_BINOMIAL = 25  # a binomial number takes as long as so many draws


class Spread(NamedTuple):
    """A mean over seeds.

    Attributes:
        mean: Of the seeds' values.
        deviation: Their sample standard deviation; None of a single seed.
        n: Seeds.
        low: Lower end of the mean's 95 % interval; None of a single seed.
        high: Upper end.
    """

    mean: float
    deviation: float | None
    n: int
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """How two settings differ.

    Attributes:
        difference: The first minus the second, in the quantity's own unit: the mean over seeds.
        error: Its standard error.
        freedom: Degrees of freedom of Student's t for it.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p_value: Two-sided, of no difference; below 0.05 where the interval leaves out zero, and nowhere else.
        effect: Cohen's d of the differences of all pairs: their mean over their deviation. 0 where no pair differs,
            None where all differ by the same.
        over: What other draws the interval speaks of: a single seed tells nothing of other seeds.
        seeds: How many seeds both settings have.
        images: How many pairs of images, of all seeds together; 0 where only seeds were compared.
    """

    difference: float
    error: float
    freedom: float
    low: float
    high: float
    p_value: float
    effect: float | None
    over: Over
    seeds: int
    images: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean and deviation over seeds, and Student's interval of the mean (Student, Biometrika 1908).

    Args:
        values: One a seed.

    Raises:
        ValueError: If there is none.
    """
    if not values:
        raise ValueError("expected the values of one seed or more, got none")
    numbers, n = np.asarray(values, dtype=np.float64), len(values)
    mean = float(numbers.mean())
    if n == 1:
        return Spread(mean, None, 1, None, None)
    deviation = float(numbers.std(ddof=1))
    reach = _reach(deviation / math.sqrt(n), freedom=n - 1)
    return Spread(mean, deviation, n, mean - reach, mean + reach)


def paired_bootstrap(
    first: Sequence[Float[np.ndarray, " images"]],
    second: Sequence[Float[np.ndarray, " images"]],
    images: Sequence[Int[np.ndarray, " images"]],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Comparison | None:
    """Compare two settings that have a number for each image.

    Each resample draws seeds with replacement and, once for all of them, images with replacement from those of any
    seed; it gives the mean over the drawn seeds of the mean over those drawn images that the seed has (the pigeonhole
    bootstrap: Owen, Annals of Applied Statistics 2007). The square of the standard error is the variance of the
    resamples and the S-th part of the seeds' own share in it, which is what S values drawn from S lack. Interval and
    p-value are Student's t; its degrees of freedom are Satterthwaite's (Biometrics Bulletin 1946) of the shares of
    seeds and images in the error: S - 1 where seeds differ most, about as many as images where images do. With a
    single seed only images are drawn, and no other seed is spoken of.

    Where all pairs differ by the same there is no error, and the p-value is 1 or 0: what Student's t tends to. Such a
    0 says that not one of the pairs disagrees, not that none could.

    Args:
        first: ``[images]`` for each seed; NaN where an image does not count.
        second: Those of the other setting, for the same seeds and images. An image counts where both have a number.
        images: Which image each is: an equal number is the same image in every seed. Seeds may have all images in
            common, some or none.
        seed: Of the resampling.
        resamples: How many.

    Returns:
        None where no image counts, or of a single seed only one.

    Raises:
        ValueError: If seeds or images do not agree, or a seed has an image twice.
    """
    table = _table(first, second, images)
    seeds = table.shape[1]
    pairs = table[~np.isnan(table)]
    if len(pairs) < 2:
        return None
    resampled = _resampled(table, resamples, np.random.default_rng(seed))
    of_seeds, of_images = (_share_in_error(np.nanmean(table, axis=axis)) for axis in (0, 1))
    return _compared(
        float(np.nanmean(table, axis=0).mean()),
        math.sqrt(float(resampled.var()) + of_seeds / seeds),
        pairs,
        freedom=_freedom([(of_seeds, seeds - 1), (of_images, len(table) - 1)]),
        over="images" if seeds == 1 else "seeds and images",
        seeds=seeds,
        images=len(pairs),
    )


def paired_seeds(first: Sequence[float], second: Sequence[float]) -> Comparison | None:
    """Compare two settings by one number a seed, where images have none of their own (areas under a curve).

    This is Student's t of the differences (Student, Biometrika 1908), with no error as above.

    Args:
        first: One a seed; NaN where the quantity is undefined.
        second: Those of the other setting, for the same seeds. A seed counts where both have a number.

    Returns:
        None where fewer than two seeds count.

    Raises:
        ValueError: If they are not as many.
    """
    if len(first) != len(second):
        raise ValueError(f"expected both settings for the same seeds, got {len(first)} and {len(second)}")
    differences = _differences(first, second)
    pairs = differences[~np.isnan(differences)]
    seeds = len(pairs)
    if seeds < 2:
        return None
    error = float(pairs.std(ddof=1)) / math.sqrt(seeds)
    return _compared(float(pairs.mean()), error, pairs, freedom=seeds - 1, over="seeds", seeds=seeds, images=0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the order given (Holm, Scandinavian Journal of Statistics 1979).

    The chance of rejecting any true null hypothesis stays below the level, however the tests depend on one another.

    Args:
        p_values: Of all comparisons that are looked at together, in [0, 1].

    Raises:
        ValueError: If one is no probability.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"expected p-values from 0 to 1, got {list(p_values)}")
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = float(highest)
    return corrected


def _table(first: Sequence[ArrayLike], second: Sequence[ArrayLike], images: Sequence[ArrayLike]) -> Numbers:
    """Return ``[images, seeds]``: the differences, NaN where a seed lacks the image; seeds without any are left out."""
    sizes = [[np.size(of_seed) for of_seed in setting] for setting in (first, second, images)]
    if not sizes[0] == sizes[1] == sizes[2]:
        raise ValueError(
            f"expected both settings for the same seeds and images, got {sizes[0]} and {sizes[1]} numbers "
            f"of {sizes[2]} images"
        )
    if any(np.size(np.unique(of_seed)) < np.size(of_seed) for of_seed in images):
        raise ValueError("expected each image once in a seed, got one twice")
    every: Identities = np.unique(np.concatenate([np.empty(0, np.int64), *map(np.asarray, images)]))
    table = np.full((len(every), len(images)), np.nan)
    for column, one, other, identities in zip(table.T, first, second, images, strict=True):
        column[np.searchsorted(every, identities)] = _differences(one, other)
    counted = ~np.isnan(table)
    some: Numbers = table[counted.any(1)][:, counted.any(0)]
    return some


def _differences(first: ArrayLike, second: ArrayLike) -> Numbers:
    """Return first minus second; NaN where one of them has no number."""
    differences: Numbers = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    return differences


def _resampled(table: Numbers, resamples: int, generator: np.random.Generator) -> Numbers:
    """Return the mean over seeds of the mean over images, of seeds and images drawn with replacement.

    A seed that has none of the drawn images does not count in a resample; a resample in which none has one is left out.
    """
    rows, times = _kinds(table)
    counted = ~np.isnan(rows)
    numbers = np.where(counted, rows, 0.0)
    once = np.ones(table.shape[1], dtype=np.int64)
    at_once = max(1, _DRAWS_AT_ONCE // len(rows))
    found = []
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = _drawn(times, count, generator)
        images = drawn @ counted
        means = (drawn @ numbers) / np.maximum(images, 1)
        seeds = _drawn(once, count, generator) * (images > 0)
        some = seeds.any(1)
        found.append((seeds * means)[some].sum(1) / seeds[some].sum(1))
    return np.concatenate(found)


def _kinds(table: Numbers) -> tuple[Numbers, NDArray[np.int64]]:
    """Return the different rows of a table and how often each is in it, where they are few; else the table itself.

    Of right and wrong answers there are few.
    """
    values, codes = np.unique(table, return_inverse=True)
    if len(values) ** table.shape[1] < 2**63:
        rows = codes.reshape(table.shape) @ len(values) ** np.arange(table.shape[1])
        _, first, times = np.unique(rows, return_index=True, return_counts=True)
        if _DRAWS_A_BINOMIAL * len(first) <= len(table):
            return table[first], times
    return table, np.ones(len(table), dtype=np.int64)


def _drawn(times: NDArray[np.int64], count: int, generator: np.random.Generator) -> Numbers:
    """Return ``[count, kinds]``: how often each kind comes in as many draws as there are, with replacement."""
    n = int(times.sum())
    if len(times) < n:
        return generator.multinomial(n, times / n, size=count).astype(np.float64)
    drawn = generator.integers(0, n, size=(count, n)) + n * np.arange(count)[:, None]
    return np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def _share_in_error(means: Numbers) -> float:
    """Return the variance of the mean of so many means; 0 of a single one, which tells of no other."""
    return float(means.var(ddof=1)) / len(means) if len(means) > 1 else 0.0


def _freedom(shares: Sequence[tuple[float, int]]) -> float:
    """Return Satterthwaite's degrees of freedom of a sum of variances, each with its own."""
    total = sum(variance for variance, _ in shares)
    parts = sum(variance**2 / freedom for variance, freedom in shares if variance > 0)
    return total**2 / parts if parts > 0 else 1.0


def _compared(
    difference: float, error: float, pairs: Numbers, *, freedom: float, over: Over, seeds: int, images: int
) -> Comparison:
    if np.ptp(pairs) == 0:  # rounding would leave an error
        error = 0.0
    reach = _reach(error, freedom)
    p_value = _p_value(difference, error, freedom)
    low, high = difference - reach, difference + reach
    return Comparison(difference, error, freedom, low, high, p_value, _effect(pairs), over, seeds, images)


def _reach(error: float, freedom: float) -> float:
    """Return how far a 95 % interval by Student's t reaches to either side."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, _UPPER_END)) * error


def _p_value(difference: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of Student's t; its limit where there is no error."""
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(difference) / error))


def _effect(pairs: Numbers) -> float | None:
    """Return Cohen's d of paired differences (Cohen, Statistical Power Analysis, 1988, section 2.3.5)."""
    mean = float(pairs.mean())
    if np.ptp(pairs) == 0:  # rounding would leave a deviation
        return 0.0 if mean == 0 else None
    return mean / float(pairs.std(ddof=1))
