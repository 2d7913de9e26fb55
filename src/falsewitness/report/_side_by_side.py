"""The same images through the clean model and every attacked one, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from falsewitness.report._gallery import Example, Tile, class_name, map_tile, pixels, plain_tile, titled_examples
from falsewitness.report._run import Run
from falsewitness.report._text import without_common_start
from falsewitness.report._tiles import Scale


@dataclass(frozen=True)
class Heading:
    """A column's heading: what it shows, and where on the page the run is explained."""

    title: str
    detail: str
    anchor: str = ""


@dataclass(frozen=True)
class Row:
    """One test image through all columns; None where a column has nothing to show."""

    index: int
    true: str
    tiles: tuple[Tile | None, ...]


@dataclass(frozen=True)
class Comparison:
    """Shared images side by side, seen through one auditor."""

    auditor: str
    headings: tuple[Heading, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Family:
    """Runs that can stand side by side: same data, same clean model, shared images.

    Attributes:
        examples: The runs.
        index: Places in the test split of the images that all of them show.
    """

    examples: tuple[Example, ...]
    index: tuple[int, ...]

    def joined(self, example: Example) -> "Family | None":
        """Return the family with one more run; None where that would cost it more than half of its images."""
        if _origin(example) != _origin(self.examples[0]):
            return None
        own = _shared_rows(example)
        common = tuple(index for index in self.index if index in own)
        fits = 2 * len(common) >= len(self.index)
        return replace(self, examples=(*self.examples, example), index=common) if fits else None

    def row(self, example: Example, index: int) -> int:
        """Return where in a run's gallery an image is."""
        return _shared_rows(example)[index]


def _shared_rows(example: Example) -> dict[int, int]:
    return {int(example.gallery.index[row]): row for row in example.gallery.rows("shared")}


def _origin(example: Example) -> tuple[str, Path]:
    parent = example.run.result.parents.get("clean", "")
    return example.data.fingerprint, (example.run.folder / parent).resolve()


def families(shown: Sequence[Example]) -> list[Family]:
    """Group runs so that each stands beside as many others as share its images."""
    found: list[Family] = []
    for example in shown:
        joined = ((place, larger) for place, family in enumerate(found) if (larger := family.joined(example)))
        place, family = next(joined, (len(found), Family((example,), tuple(_shared_rows(example)))))
        if family.index:
            found[place : place + 1] = [family]
    return found


Shown = Literal["auditors", "columns"]
"""What a picture needs of a gallery: maps, or maps of every class."""


def first_family(runs: Sequence[Run], shown: Shown = "auditors") -> Family | None:
    """Return the runs that a picture shows side by side: the first with shared images, and who shares them."""
    examples = [example for example in titled_examples(runs) if getattr(example.gallery, shown)]
    return next(iter(families(examples)), None)


def count_side_by_side(runs: Sequence[Run], shown: Shown = "auditors") -> int:
    """Return how many of some runs a picture shows side by side."""
    family = first_family(runs, shown)
    return 0 if family is None else len(family.examples)


def comparisons(shown: Sequence[Example], auditor: str, scale: Scale) -> Iterator[Comparison]:
    """Lay out the shared images, one table a family that the auditor has maps of."""
    for family in families(shown):
        seen = [example for example in family.examples if auditor in example.gallery.auditors]
        if seen:
            yield _comparison(family, seen[0], auditor, scale)


def _comparison(family: Family, first: Example, auditor: str, scale: Scale) -> Comparison:
    stamps = _distinct_stamps(family)
    names = without_common_start([example.title for example in family.examples])
    headings = (
        Heading("Clean image", "true class"),
        *(Heading("Triggered image", "true class" if len(stamps) == 1 else _named(same)) for same in stamps),
        Heading("Clean model", "map of the clean image"),
        *(
            Heading(name, "map of the triggered image", example.anchor)
            for name, example in zip(names, family.examples, strict=True)
        ),
    )
    rows = tuple(_row(family, first, stamps, index, auditor, scale) for index in family.index)
    return Comparison(auditor, headings, rows)


def _row(family: Family, first: Example, stamps: list[list[Example]], index: int, auditor: str, scale: Scale) -> Row:
    place = family.row(first, index)
    tiles = (
        plain_tile(first, place, "clean"),
        *(plain_tile(same[0], family.row(same[0], index), "triggered") for same in stamps),
        map_tile(first, place, auditor, "clean", "clean", scale),
        *(
            map_tile(example, family.row(example, index), auditor, "attacked", "triggered", scale)
            for example in family.examples
        ),
    )
    return Row(index, class_name(first, int(first.gallery.labels[place])), tiles)


def _distinct_stamps(family: Family) -> list[list[Example]]:
    """Group runs whose triggered images are the same pixels."""
    found: dict[bytes, list[Example]] = {}
    for example in family.examples:
        rows = [family.row(example, index) for index in family.index]
        found.setdefault(pixels(example.gallery, "triggered")[rows].tobytes(), []).append(example)
    return list(found.values())


def _named(same: list[Example]) -> str:
    return "of " + ", ".join(example.title for example in same)
