"""Each run's own images, laid out like the paper's figures: where the attack succeeds, and where it fails."""

from collections.abc import Mapping
from dataclasses import dataclass

from falsewitness.report._gallery import Example, Tile, class_name, map_tile, plain_tile
from falsewitness.report._text import clean_text
from falsewitness.report._tiles import Scale


@dataclass(frozen=True)
class PanelRow:
    """One image the way the paper's figures show it.

    Attributes:
        index: Its place in the test split.
        true: Its true class.
        clean: (a) the clean image and its prediction.
        triggered: (b) the triggered image and its prediction.
        maps: By auditor: (c) the explanation of the clean, (d) of the triggered image.
    """

    index: int
    true: str
    clean: Tile
    triggered: Tile
    maps: tuple[tuple[str, Tile | None, Tile | None], ...]


@dataclass(frozen=True)
class PanelGroup:
    """Images of a run that were chosen by one rule."""

    title: str
    rule: str
    rows: tuple[PanelRow, ...]


@dataclass(frozen=True)
class Panel:
    """A run's own images."""

    title: str
    anchor: str
    groups: tuple[PanelGroup, ...]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """All its pictures."""
        rows = [row for group in self.groups for row in group.rows]
        maps = [tile for row in rows for _, *pair in row.maps for tile in pair if tile]
        return (*(row.clean for row in rows), *(row.triggered for row in rows), *maps)


_GROUPS = (
    (
        "success",
        "Where the attack succeeds",
        "Chosen by the evaluation's rule among the images it succeeds on.",
    ),
    ("failure", "Where the attack fails", "Chosen by the evaluation's rule among the images it fails on."),
)
_SHARED = ("shared", "The shared images", "The same test images in every run of this data and split.")


def panel(example: Example, scales: Mapping[str, Scale]) -> Panel:
    """Lay out a run's successes and failures; its shared images where it has neither.

    Args:
        example: The run.
        scales: How each auditor's maps are coloured.
    """
    own = _GROUPS if any(example.gallery.rows(name) for name, _, _ in _GROUPS) else (_SHARED,)
    groups = [
        PanelGroup(
            title,
            clean_text(example.gallery.rules.get(name, rule)),
            tuple(_panel_row(example, row, scales) for row in example.gallery.rows(name)),
        )
        for name, title, rule in own
    ]
    return Panel(example.title, example.anchor, tuple(groups))


def _panel_row(example: Example, row: int, scales: Mapping[str, Scale]) -> PanelRow:
    return PanelRow(
        index=int(example.gallery.index[row]),
        true=class_name(example, int(example.gallery.labels[row])),
        clean=plain_tile(example, row, "clean", "attacked"),
        triggered=plain_tile(example, row, "triggered", "attacked"),
        maps=tuple(
            (
                auditor,
                map_tile(example, row, auditor, "attacked", "clean", scales[auditor]),
                map_tile(example, row, auditor, "attacked", "triggered", scales[auditor]),
            )
            for auditor in example.gallery.auditors
        ),
    )
