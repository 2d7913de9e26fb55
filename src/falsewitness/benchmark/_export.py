"""A benchmark's figures as tables: one line a cell for programs, one line a setting for papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from falsewitness.benchmark._board import board
from falsewitness.benchmark._survey import CellView, Survey, environment_of
from falsewitness.core.files import replacing, write_text
from falsewitness.report import Board, Column, Result, Setting, Spread, read_result, write_board

FORMATS = ("html", "parquet", "csv", "markdown", "latex")
"""What a benchmark can be written as."""

_MARKS = {"best": "*", "not distinguishable": "="}
_LEGEND = "Mean ± standard deviation over n seeds; * the best, = not distinguishable from it."

_OWN_COLUMNS = ("state", "reason", "run", "auditor", "threat_model", "trained_against", "computed_on")


def export(survey: Survey, formats: Sequence[str], into: Path) -> list[Path]:
    """Write a benchmark as it stands.

    Args:
        survey: How it stands.
        formats: Of :data:`FORMATS`.
        into: The folder to write to.

    Returns:
        The files, in the order of the formats.

    Raises:
        RunFailedError: If a file cannot be written.
    """
    writers: dict[str, Callable[[], Path]] = {
        "html": lambda: write_board(laid_out, into / "index.html"),
        "parquet": lambda: _parquet(cell_table(survey), into / "cells.parquet"),
        "csv": lambda: _csv(cell_table(survey), into / "cells.csv"),
        "markdown": lambda: _text(markdown(laid_out), into / "leaderboard.md"),
        "latex": lambda: _text(latex(laid_out), into / "leaderboard.tex"),
    }
    laid_out = board(survey)
    return [writers[name]() for name in formats]


def cell_table(survey: Survey) -> list[dict[str, Any]]:
    """Return one line for every cell, and auditor that judged it: axes, state, every figure with its interval, costs.

    A figure's column is called by its metric and quantity, as ``falsewitness describe metrics`` explains them.
    """
    matrix = survey.prepared.matrix
    lines = []
    for cell, view in zip(matrix.cells, survey.cells, strict=True):
        place = {_axis_column(axis.name): label for axis, label in zip(matrix.axes, cell.labels, strict=True)}
        lines += [{**place, **line} for line in _lines(view, survey)]
    names = dict.fromkeys(name for line in lines for name in line)
    return [{name: line.get(name) for name in names} for line in lines]


def _axis_column(name: str) -> str:
    """Return the column of an axis: an axis may be called as it likes."""
    return f"axis.{name}" if name in _OWN_COLUMNS else name


def _lines(view: CellView, survey: Survey) -> list[dict[str, Any]]:
    told = {"state": view.state, "reason": view.reason, "run": view.task.key if view.task else None}
    if view.state != "done" or view.task is None:
        return [{**told, "auditor": None}]
    result = read_result(view.task.folder.path)
    attack = result.attack
    common = {
        **told,
        "threat_model": attack.threat_model if attack else None,
        "trained_against": attack.surrogate_auditor if attack else None,
    }
    after = {**result.cost, "computed_on": environment_of(view.task)}
    return [
        {**common, "auditor": auditor, **_measured(result, auditor), **after} for auditor in result.auditors or (None,)
    ]


def _measured(result: Result, auditor: str | None) -> dict[str, float | int | None]:
    found: dict[str, float | int | None] = {}
    for m in result.measurements:
        if m.samples == "all" and m.auditor in (None, auditor):
            name = m.metric if m.metric == m.name else f"{m.metric}.{m.name}"
            found |= {name: m.value, f"{name}.low": m.low, f"{name}.high": m.high, f"{name}.n": m.n}
    return found


def markdown(laid_out: Board) -> str:
    """Return the leaderboard as a table in Markdown."""
    headings, rows = _leaderboard(laid_out)
    lines = [headings, ["---"] * len(headings), *rows]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return f"# {laid_out.name}\n\n{laid_out.summary}\n\n```\n{laid_out.command}\n```\n\n{table}\n\n{_LEGEND}\n"


def latex(laid_out: Board) -> str:
    """Return the leaderboard as a table in LaTeX, for the package booktabs."""
    headings, rows = _leaderboard(laid_out)
    lines = [r" & ".join(map(_escaped, line)) + r" \\" for line in (headings, *rows)]
    columns = "l" * (len(headings) - len(laid_out.columns)) + "r" * len(laid_out.columns)
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    comments = "".join(f"% {_in_a_line(text)}\n" for text in (laid_out.name, laid_out.command, _LEGEND))
    return f"{comments}\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"


def _leaderboard(laid_out: Board) -> tuple[list[str], list[list[str]]]:
    headings = [*laid_out.axes, "auditor", "threat model", *(column.title for column in laid_out.columns)]
    rows = [_leaderboard_row(setting, laid_out.columns) for setting in laid_out.settings]
    return [_in_a_line(heading) for heading in headings], [[_in_a_line(cell) for cell in row] for row in rows]


def _in_a_line(text: str) -> str:
    return " ".join(text.splitlines())


def _leaderboard_row(setting: Setting, columns: Sequence[Column]) -> list[str]:
    states = [cell.state for cell in setting.cells]
    unfinished = "" if "done" in states else f" ({', '.join(dict.fromkeys(states))})"
    figures = [_figure(column, setting.figures) for column in columns]
    return [*setting.labels, setting.auditor + unfinished, setting.threat_model, *figures]


def _figure(column: Column, figures: Mapping[str, Spread]) -> str:
    """Return a figure as it stands in a paper: the mean, its deviation over seeds and their number."""
    figure = figures.get(column.title)
    if figure is None:
        return ""
    spread = "" if figure.deviation is None else f" ± {column.form(figure.deviation).lstrip('+')}"
    return f"{column.form(figure.mean)}{spread} (n={figure.n}){_MARKS.get(figure.standing, '')}"


_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "\u2212": "$-$",
    "\u2013": "--",
    "\u202f": r"\,",
    "<": "$<$",
    ">": "$>$",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _parquet(lines: Sequence[Mapping[str, Any]], path: Path) -> Path:
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        pq.write_table(_table(lines), temporary)
    return path


def _csv(lines: Sequence[Mapping[str, Any]], path: Path) -> Path:
    import pyarrow.csv

    with replacing(path) as temporary:
        pyarrow.csv.write_csv(_table(lines), temporary)
    return path


def _table(lines: Sequence[Mapping[str, Any]]) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    return pa.Table.from_pylist(list(lines))


def _text(text: str, path: Path) -> Path:
    write_text(path, text)
    return path
