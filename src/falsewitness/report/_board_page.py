"""The page of a benchmark: a leaderboard, a heat map and a scatter in one HTML file that opens anywhere, offline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from markupsafe import Markup

from falsewitness.report._board import Board, CellState, Setting, Spread
from falsewitness.report._board_data import (
    as_script,
    attacker_controls,
    board_data,
    cells_by_state,
    main_rows,
    state_of,
)
from falsewitness.report._columns import Column
from falsewitness.report._html import fill, write_html
from falsewitness.report._tables import Cell
from falsewitness.report._text import NARROW_SPACE, Form, clean_text

_ROWS_WITHOUT_SCRIPT = 50


@dataclass(frozen=True)
class Row:
    """One setting as it stands in the table that needs no script; all as text."""

    labels: tuple[str, ...]
    auditor: str
    threat_model: str
    state: str
    cells: tuple[Cell, ...]
    device: str


@dataclass(frozen=True)
class BoardPage:
    """What stands on the page outside of the script's reach.

    Attributes:
        name: The benchmark's.
        summary: What it is about.
        command: Gives it again.
        settings: How many settings there are.
        cells: How many experiments.
        counts: Experiments by state.
        axes: Titles of the axes.
        columns: Those of figures.
        rows: The first settings, for readers without script.
        more: How many settings come after them.
        excluded: What the matrix leaves out, a line each.
        notes: How the figures were made, a line each.
    """

    name: str
    summary: str
    command: str
    settings: int
    cells: int
    counts: Mapping[CellState, int]
    axes: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    more: int
    excluded: tuple[str, ...]
    notes: tuple[str, ...]


def write_board(board: Board, out: Path) -> Path:
    """Write the page of a benchmark.

    Args:
        board: The benchmark.
        out: The HTML file; an older one is replaced, whole, once the new one is complete.

    Returns:
        ``out``.

    Raises:
        RunFailedError: If the page cannot be written.
    """
    return write_html(render_board(board), out)


def render_board(board: Board) -> str:
    """Return the page as HTML."""
    return fill(
        "board.html.j2",
        page=_lay_out(board),
        # Both are made to stand in a script element: no text in them can end it.
        data=Markup(as_script(board_data(board))),  # noqa: S704
        plotly=Markup(_plotly()),  # noqa: S704
    )


def _plotly() -> str:
    """Return the library that draws the charts, as a script that no sign in it can end early."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _lay_out(board: Board) -> BoardPage:
    main, counts = sorted(main_rows(board.settings)), cells_by_state(board.settings)
    shown = [board.settings[number] for number in main[:_ROWS_WITHOUT_SCRIPT]]
    return BoardPage(
        name=clean_text(board.name),
        summary=clean_text(board.summary),
        command=clean_text(board.command),
        settings=len(main),
        cells=counts.total(),
        counts=counts,
        axes=tuple(clean_text(axis) for axis in board.axes),
        columns=board.columns,
        rows=tuple(_row(setting, board.columns) for setting in shown),
        more=len(main) - len(shown),
        excluded=tuple(clean_text(line) for line in board.excluded),
        notes=tuple(clean_text(line) for line in board.notes),
    )


def _row(setting: Setting, columns: tuple[Column, ...]) -> Row:
    return Row(
        labels=tuple(clean_text(label) for label in setting.labels),
        auditor=clean_text(setting.auditor) + (" (trained against)" if setting.trained_against else ""),
        threat_model=clean_text(attacker_controls(setting)),
        state=clean_text(state_of(setting.cells)),
        cells=tuple(_cell(setting.figures.get(column.title), column.form) for column in columns),
        device=clean_text(setting.device),
    )


def _cell(spread: Spread | None, form: Form) -> Cell:
    if spread is None:
        return Cell()
    return Cell(
        value=form(spread.mean),
        interval=_interval(spread, form),
        n=_over_seeds(spread, form),
        note="; ".join(filter(None, (spread.standing, clean_text(spread.remarks)))),
    )


def _interval(spread: Spread, form: Form) -> str:
    if spread.low is None or spread.high is None:
        return ""
    return f"{replace(form, unit='')(spread.low)} to {form(spread.high)}"


def _over_seeds(spread: Spread, form: Form) -> str:
    seeds = f"{spread.n}{NARROW_SPACE}{'seed' if spread.n == 1 else 'seeds'}"
    if spread.deviation is None:
        return seeds
    return f"±{NARROW_SPACE}{replace(form, unit='', signed=False)(spread.deviation)}, {seeds}"
