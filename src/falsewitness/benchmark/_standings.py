"""Each setting of a benchmark beside the best: compared over the seeds and images that both have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from falsewitness.benchmark._statistics import RESAMPLES, Comparison, holm, paired_bootstrap, paired_seeds
from falsewitness.core import InputError
from falsewitness.experiment import RunFolder
from falsewitness.report import Column, Setting, Standing

MOST_COMPARED = 40
"""Settings that are compared with the best of a column: of more, those nearest to it."""

SIGNIFICANCE = 0.05

NOTES = (
    "In each column the best setting is compared with the others before the same auditor and on the same data (with "
    f"the {MOST_COMPARED} nearest to it, where there are more): how much further from what the attacker wants the "
    "other is, over the seeds and the test images that both have. The standard error comes from "
    f"{RESAMPLES:,} resamples, each of which draws seeds and, once for all of them, images with replacement (the "
    "pigeonhole bootstrap, Owen, 2007). The p-value is that of Student's t, with degrees of freedom by the shares of "
    "seeds and images in that error (Satterthwaite, 1946). Of a single common seed only images are drawn, and nothing "
    "is said of other seeds. A figure that is no mean over images (an area under a curve) is compared by Student's t "
    "of the differences of the seeds.",
    "A setting is not distinguishable from the best where p, corrected for the number of settings compared with that "
    f"best (Holm, 1979), is {SIGNIFICANCE:g} or more. This does not make it as good: two or three seeds show none but "
    "large differences, and with two an interval of 95 % covers no more than 90 % where seeds differ much. Seeds and "
    "images are taken for random draws from all there could be, and differences between seeds for normally "
    "distributed; and the best is chosen by the same figures, which makes its lead look a little larger than it is.",
    "A setting that is called neither worse nor not distinguishable was not compared: it is further away than the "
    f"{MOST_COMPARED} nearest, it has no seed or no test image in common with the best, they have a single common seed "
    "and the figure is no mean over images, or numbers of images were damaged since they were measured (it is said "
    "where). Or the seeds and images in common put it before the best.",
)
"""How it is done, for readers of the page."""


@dataclass(frozen=True)
class Figure:
    """One figure of one run.

    Attributes:
        value: The number.
        n: Images behind it; None of a cost.
        low: Lower end of its interval over images; None where there is none.
        high: Upper end.
        note: What it is, where it is not what its column's title says.
        key: What its numbers an image are called in ``values.npz``; empty of a cost.
    """

    value: float
    n: int | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    key: str = ""


Figures = Mapping[str, Figure]
"""By title of the column."""


@dataclass(frozen=True)
class Run:
    """What a page needs of one finished experiment; of thousands no more can be held.

    Attributes:
        repetition: What tells it from the others of its setting.
        data: Fingerprint of the data it was measured on: of equal data, equal places are the same image.
        folder: Where its numbers an image are.
        threat_model: What the attacker must control.
        surrogate: The auditor that the attack was trained against; None where none is.
        figures: For each auditor that judged it.
    """

    repetition: str
    data: str
    folder: RunFolder
    threat_model: str
    surrogate: str | None
    figures: Mapping[str, Figures]


@dataclass(frozen=True)
class Row:
    """A setting before an auditor, with the finished experiments behind it."""

    setting: Setting
    runs: tuple[Run, ...]

    def measured(self, title: str) -> Mapping[str, tuple[Run, Figure]]:
        """Return the figures of a column, with the runs that have them, by what tells the runs apart."""
        figures = ((run, run.figures[self.setting.auditor].get(title)) for run in self.runs)
        return {run.repetition: (run, figure) for run, figure in figures if figure is not None}


def with_standings(rows: Sequence[Row], column: Column) -> list[Row]:
    """Return the rows with how each stands beside the best in a column."""
    result = list(rows)
    read = lru_cache(maxsize=256)(_read)  # the best is compared with many
    for places in _comparable(rows, column):
        ranked = sorted(places, key=lambda place: _distance(rows[place], column))
        best, *others = ranked[: MOST_COMPARED + 1]
        result[best] = _with(rows[best], column, standing="best")
        known: dict[int, Comparison] = {}
        for other in others:
            try:
                comparison = _comparison(rows[other], rows[best], column, read)
            except InputError as error:
                result[other] = _with(rows[other], column, not_compared=f"not compared: {error}")
                continue
            if comparison is not None:
                known[other] = comparison
        corrected = holm([comparison.p_value for comparison in known.values()])
        for (other, comparison), p_value in zip(known.items(), corrected, strict=True):
            standing = _standing(comparison, p_value)
            result[other] = _with(rows[other], column, standing=standing, p_value=p_value, effect=comparison.effect)
    return result


def _comparable(rows: Sequence[Row], column: Column) -> list[list[int]]:
    """Return the places of rows whose figures are of the same kind: of two at least, where one can be better."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for place, row in enumerate(rows):
        figure = row.setting.figures.get(column.title)
        if figure is not None and column.wanted:
            groups.setdefault((row.setting.auditor, row.runs[0].data, figure.note), []).append(place)
    return [places for places in groups.values() if len(places) > 1]


def _with(row: Row, column: Column, **changes: Any) -> Row:  # noqa: ANN401
    figures = {**row.setting.figures, column.title: replace(row.setting.figures[column.title], **changes)}
    return replace(row, setting=replace(row.setting, figures=figures))


def _standing(comparison: Comparison, p_value: float) -> Standing:
    if p_value >= SIGNIFICANCE:
        return "not distinguishable"
    # What is best over all its seeds may be behind over those that both have.
    return "worse" if comparison.difference > 0 else ""


def _distance(row: Row, column: Column) -> float:
    """Return how far a figure is from what the attacker wants, up to a constant; the least is the best."""
    return float(_towards_wanted(row, column)(row.setting.figures[column.title].mean))


def _towards_wanted(row: Row, column: Column) -> Callable[[Any], Any]:
    """Return what turns the numbers behind a row's figure into distances from what the attacker wants.

    Where a value in the middle is wanted, all count to the side on which their mean is: the mean of their distances is
    the distance of the mean.
    """
    if column.wanted in ("high", "low"):
        sign, wanted = (-1.0 if column.wanted == "high" else 1.0), 0.0
    else:
        wanted = 0.5 if column.wanted == "near 0.5" else 0.0
        sign = 1.0 if row.setting.figures[column.title].mean >= wanted else -1.0
    return lambda numbers: sign * (numbers - wanted)


def _comparison(first: Row, second: Row, column: Column, read: _Read) -> Comparison | None:
    """Return how much further the first is from what is wanted than the second; None where they cannot be compared.

    Raises:
        InputError: If numbers of images are not as they were left.
    """
    ones, others = first.measured(column.title), second.measured(column.title)
    pairs = [(ones[name], others[name]) for name in ones if name in others]
    of_first, of_second = _towards_wanted(first, column), _towards_wanted(second, column)
    found = [tuple(read(run.folder, figure.key) for run, figure in pair) for pair in pairs]
    common = [_in_common(one, other) for one, other in found if one is not None and other is not None]
    if len(common) < len(pairs):
        return paired_seeds([of_first(one.value) for (_, one), _ in pairs], [of_second(o.value) for _, (_, o) in pairs])
    return paired_bootstrap(
        [of_first(one) for _, one, _ in common],
        [of_second(other) for _, _, other in common],
        [images for images, _, _ in common],
        seed=0,
    )


class _OfImages(NamedTuple):
    """A figure of every image: which image of the data it is, and its number."""

    images: NDArray[np.int64]
    numbers: NDArray[np.float64]


def _in_common(one: _OfImages, other: _OfImages) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the images that both have, and the numbers of either."""
    images, mine, its = np.intersect1d(one.images, other.images, assume_unique=True, return_indices=True)
    return images, one.numbers[mine], other.numbers[its]


_Read = Callable[[RunFolder, str], _OfImages | None]


def _read(folder: RunFolder, key: str) -> _OfImages | None:
    """Return a run's figure of every image by its key; None where images have none.

    Raises:
        InputError: If the numbers are not as they were left.
    """
    marker, file = folder.marker("evaluate"), folder.values
    if file.name not in marker.files():
        return None
    try:
        marker.check(file)
    except InputError:
        raise InputError(f"'{folder.path.name}/{file.name}' is damaged; --retry-failed makes it anew") from None
    with np.load(file, allow_pickle=False) as archive:
        if key not in archive:
            return None
        numbers, images = archive[key].astype(np.float64), archive["images"]
        # Prediction is measured on all test images, all else on some of them; where those are all, they are in order.
        return _OfImages(images if len(images) == len(numbers) else images[archive["samples"]], numbers)
