"""Intervals: pure functions of numbers per image, seeded where they draw.

The bootstrap resamples *images*. Whatever belongs to one image (several quantities, a pair of models, a pair
of maps) is drawn together; the interval of a paired difference is therefore that of the mean of the images'
differences.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

RESAMPLES = 2_000
"""Bootstrap resamples an interval is read from."""

TAILS = (2.5, 97.5)
"""Percentiles at the ends of a 95 % interval."""

NORMAL_QUANTILE = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

_DRAWS_AT_ONCE = 1_000_000  # bounds the memory, whatever the number of images


class Interval(NamedTuple):
    """Both ends of a 95 % interval."""

    low: float
    high: float


def wilson(successes: int, n: int) -> Interval:
    """Return the interval of a proportion.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 1927: the proportions
    that a score test does not reject. Unlike the normal approximation it holds near 0 and 1, where attack
    success rates are.

    Args:
        successes: How many of them.
        n: Trials, at least 1.

    Raises:
        ValueError: If there are no trials, or more successes than trials.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"expected 0 <= successes <= n and n >= 1, got {successes} of {n}")
    share, spread = successes / n, NORMAL_QUANTILE**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half_width = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return _around(share, max(0.0, centre - half_width), min(1.0, centre + half_width))


def agresti_min(gained: int, lost: int, n: int) -> Interval:
    """Return the interval of the difference of two proportions of the same trials.

    Agresti and Min, "Simple improved confidence intervals for comparing matched proportions", Statistics in Medicine
    2005: the normal approximation after half a trial was added to each of the four outcomes. Where few trials differ,
    as with two models that are nearly always right, the bootstrap sees no spread; this one covers more than 92 % even
    where one of the two alone fails (exact, for 143, 359 and 10,000 trials and differences up to .05).

    Args:
        gained: Trials that succeed in the first alone.
        lost: Trials that succeed in the second alone.
        n: Trials, at least 1; the difference is ``(gained - lost) / n``.

    Raises:
        ValueError: If there are no trials, or more that differ than trials.
    """
    if min(gained, lost) < 0 or gained + lost > n or n == 0:
        raise ValueError(f"expected gained, lost >= 0, gained + lost <= n and n >= 1, got {gained}, {lost}, {n}")
    trials = n + 2
    centre = (gained - lost) / trials
    half_width = NORMAL_QUANTILE * math.sqrt(gained + lost + 1 - trials * centre**2) / trials
    return _around((gained - lost) / n, max(-1.0, centre - half_width), min(1.0, centre + half_width))


def bootstrap_means(values: FloatArray, seed: int) -> list[Interval]:
    """Return the percentile-bootstrap interval of every column's mean (Efron, Annals of Statistics 1979).

    Args:
        values: ``[images, quantities]``, at least one image.
        seed: Seed of the resampling; all columns share the resamples.
    """
    n = len(values)
    means = np.concatenate([counts @ values / n for counts in _resampled_counts(n, seed)])
    ends = np.percentile(means, TAILS, axis=0)
    return [_around(mean, low, high) for mean, low, high in zip(values.mean(0), *ends, strict=True)]


def auroc(negatives: FloatArray, positives: FloatArray) -> float:
    """Return the probability that a positive scores above a negative, ties counting half, in [0, 1].

    The area under the receiver operating characteristic (Hanley and McNeil, Radiology 1982).

    Args:
        negatives: ``[negatives]`` scores, at least one.
        positives: ``[positives]`` scores, at least one.
    """
    below, up_to = _ranks(negatives, positives)
    return float((below + up_to).mean() / (2 * len(negatives)))


def resampled_auroc(negatives: FloatArray, positives: FloatArray, seed: int) -> FloatArray:
    """Return ``[resamples]``: :func:`auroc` of images drawn anew, where every image has one score of each kind.

    Args:
        negatives: ``[images]`` scores of the images' negatives, at least one.
        positives: ``[images]`` scores of the same images' positives.
        seed: Seed of the resampling; an image's two scores are drawn together. The resamples of as many images are the
            same, so two judges of the same images can be compared in each.
    """
    n = len(negatives)
    below, up_to = _ranks(negatives, positives)
    order = np.argsort(negatives)
    areas = []
    for counts in _resampled_counts(n, seed):
        drawn_negatives = np.cumsum(np.pad(counts[:, order], ((0, 0), (1, 0))), axis=1)
        pairs_won = (drawn_negatives[:, below] + drawn_negatives[:, up_to]) / 2
        areas.append((counts * pairs_won).sum(1) / n**2)
    return np.concatenate(areas)


def percentile_interval(value: float, resampled: FloatArray) -> Interval:
    """Return the percentile-bootstrap interval of a value.

    Args:
        value: Of the images as they are.
        resampled: ``[resamples]``: of images drawn anew.
    """
    low, high = np.percentile(resampled, TAILS)
    return _around(value, low, high)


def _ranks(negatives: FloatArray, positives: FloatArray) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return for each positive how many negatives score below it, and how many at most as high."""
    ascending = np.sort(negatives)
    below = np.searchsorted(ascending, positives, side="left")
    up_to = np.searchsorted(ascending, positives, side="right")
    return below, up_to


def _resampled_counts(n: int, seed: int) -> Iterator[FloatArray]:
    """Yield ``[resamples, n]``, some resamples at a time: how often each image was drawn."""
    generator = np.random.default_rng(seed)
    at_once = max(1, _DRAWS_AT_ONCE // n)
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        drawn = generator.integers(0, n, size=(rows, n), dtype=np.int32)
        drawn += n * np.arange(rows, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def _around(value: float, low: float, high: float) -> Interval:
    """Return the interval, widened to hold its value, which rounding or few images may put just outside."""
    return Interval(min(float(low), float(value)), max(float(high), float(value)))
