"""What the page of a benchmark shows: settings, each measured over its seeds, side by side. Plain frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from falsewitness.report._columns import Column

CellState = Literal["done", "diverged", "failed", "skipped", "running", "waiting"]
"""How a cell stands: ``skipped`` is left out by an exclusion or the budget, ``waiting`` was not begun."""

Standing = Literal["", "best", "not distinguishable", "worse"]
"""A setting beside the best of its auditor in one column; empty where the two were not compared."""


@dataclass(frozen=True)
class Spread:
    """One figure of a setting over its seeds.

    Attributes:
        mean: Over the seeds.
        deviation: Standard deviation over the seeds; None of a single one.
        n: Seeds that have the figure.
        images: Images behind it, over all seeds; None where no image is counted (costs).
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        standing: Beside the best setting of the same auditor, after Holm's correction.
        p_value: Of that comparison, corrected; None where none was made.
        effect: Size of its difference in standard deviations of the paired differences (Cohen's d), likewise.
        note: What the figure is, where it is not what its column's title says.
        not_compared: Why it was not compared, where something hindered that.
    """

    mean: float
    deviation: float | None
    n: int
    images: int | None = None
    low: float | None = None
    high: float | None = None
    standing: Standing = ""
    p_value: float | None = None
    effect: float | None = None
    note: str = ""
    not_compared: str = ""

    @property
    def remarks(self) -> str:
        """What a reader should know of it, in a line; empty where nothing."""
        return "; ".join(filter(None, (self.note, self.not_compared)))


@dataclass(frozen=True)
class BoardCell:
    """One experiment of a setting.

    Attributes:
        seed: What tells it from the setting's other cells, for instance ``seed 1``.
        state: How it stands.
        reason: Why it is not done, in a line.
        link: From the page to the report of its run, relative and with ``/`` between folders; None where there is none.
    """

    seed: str
    state: CellState
    reason: str = ""
    link: str | None = None


@dataclass(frozen=True)
class Setting:
    """One row: a setting before one auditor.

    Attributes:
        labels: Its place on every axis, in the order of the axes.
        auditor: Whose maps its figures of maps are about; empty where no cell is done.
        trained_against: Whether the attack was trained against that auditor.
        threat_model: What the attacker must control; empty where no cell is done.
        figures: By title of the column; a column may be missing.
        device: What it was computed on, and with how many threads.
        cells: Its experiments, one a seed.
    """

    labels: tuple[str, ...]
    auditor: str
    trained_against: bool
    threat_model: str
    figures: Mapping[str, Spread]
    device: str
    cells: tuple[BoardCell, ...]


@dataclass(frozen=True)
class Board:
    """A benchmark as its page shows it.

    Attributes:
        name: Of the benchmark.
        summary: What it is about, in a line.
        command: Gives it again.
        axes: Titles of the axes, seeds left out.
        columns: The columns that any setting has, in order; costs last.
        settings: The rows: a setting that several auditors judged stands once for each.
        excluded: What the matrix leaves out, with the reason, a line each.
        notes: How the figures were made, a line each.
    """

    name: str
    summary: str
    command: str
    axes: tuple[str, ...]
    columns: tuple[Column, ...]
    settings: tuple[Setting, ...]
    excluded: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
