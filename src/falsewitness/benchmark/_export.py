"""A benchmark's figures: a line a cell for programs, a line a setting for papers, a picture for the eye."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from falsewitness.benchmark._board import board
from falsewitness.benchmark._survey import CellView, Survey, environment_of
from falsewitness.core.files import replacing, write_text
from falsewitness.report import Board, Column, Result, Setting, Spread, heat_figure, read_result, write_board

FORMATS = {
    "html": "index.html",
    "parquet": "cells.parquet",
    "csv": "cells.csv",
    "markdown": "leaderboard.md",
    "latex": "leaderboard.tex",
    "png": "auditors.png",
}
"""What a benchmark can be written as, and what the file is called."""

_MARKS = {"best": "*", "not distinguishable": "=", "worse": "↓"}
_LEGEND = (
    "Mean ± standard deviation [95 % interval] over n seeds (of a single seed the interval over images); * the best, "
    "= not distinguishable from it, ↓ worse, no mark: not compared."
)

_OWN_COLUMNS = ("state", "reason", "run", "auditor", "threat_model", "trained_against", "computed_on")


@dataclass(frozen=True)
class Exported:
    """What was written of a benchmark.

    Attributes:
        files: In the order of the formats.
        not_compared: Why figures stand without a mark beside the best, each reason once.
    """

    files: tuple[Path, ...]
    not_compared: tuple[str, ...]


def export(survey: Survey, formats: Sequence[str], into: Path) -> Exported:
    """Write a benchmark as it stands.

    Args:
        survey: How it stands.
        formats: Of :data:`FORMATS`.
        into: The folder to write to.

    Raises:
        RunFailedError: If a file cannot be written.
    """
    writers: dict[str, Callable[[Path], Path]] = {
        "html": lambda file: write_board(laid_out, file),
        "parquet": lambda file: _parquet(cell_table(survey), file),
        "csv": lambda file: _csv(cell_table(survey), file),
        "markdown": lambda file: _text(markdown(laid_out), file),
        "latex": lambda file: _text(latex(laid_out), file),
        "png": lambda file: heat_figure(laid_out, file),
    }
    laid_out = board(survey, into)
    files = tuple(writers[name](into / FORMATS[name]) for name in formats)
    return Exported(files, _not_compared(laid_out))


def _not_compared(laid_out: Board) -> tuple[str, ...]:
    spreads = (spread for setting in laid_out.settings for spread in setting.figures.values())
    return tuple(dict.fromkeys(spread.not_compared for spread in spreads if spread.not_compared))


def cell_table(survey: Survey) -> list[dict[str, Any]]:
    """Return one line for every cell, and auditor that judged it: axes, state, figures with their intervals, costs.

    Figures are of all samples; those of the successes alone stand in the run folders.

    A figure's column is called by its metric and quantity, as ``falsewitness describe metrics`` explains them; an axis
    of numbers gives numbers, every other one its labels. The column of an axis that is called like another column is
    ``axis.NAME``.
    """
    matrix = survey.prepared.matrix
    values = [dict(zip(axis.labels, axis.numbers or axis.labels, strict=True)) for axis in matrix.axes]
    found = [_lines(view, survey) for view in survey.cells]
    taken = {name for lines in found for line in lines for name in line} | set(_OWN_COLUMNS)
    columns = [f"axis.{axis.name}" if axis.name in taken else axis.name for axis in matrix.axes]
    lines = []
    for cell, of_cell in zip(matrix.cells, found, strict=True):
        labels = zip(columns, values, cell.labels, strict=True)
        place = {column: of_axis[label] for column, of_axis, label in labels}
        lines += [{**place, **line} for line in of_cell]
    names = dict.fromkeys(name for line in lines for name in line)
    return [{name: line.get(name) for name in names} for line in lines]


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
    table = "\n".join("| " + " | ".join(_without_markup(cell) for cell in line) + " |" for line in lines)
    made_by = f"```\n{laid_out.command}\n```"
    notes = [_without_markup(_in_a_line(note)) for note in _not_compared(laid_out)]
    parts = (f"# {laid_out.name}", made_by, _without_markup(laid_out.summary), table, _LEGEND, *notes)
    return "\n\n".join(parts) + "\n"


def _without_markup(text: str) -> str:
    """Return a text that Markdown shows as it is: no label may end a cell or bring a page a script."""
    return escape(text, quote=False).replace("|", "\\|")


def latex(laid_out: Board) -> str:
    """Return the leaderboard as a table in LaTeX, for the package booktabs."""
    headings, rows = _leaderboard(laid_out)
    lines = [r" & ".join(map(_escaped, line)) + r" \\" for line in (headings, *rows)]
    columns = "l" * (len(headings) - len(laid_out.columns)) + "r" * len(laid_out.columns)
    body = "\n".join([r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"])
    told = (laid_out.name, laid_out.command, _LEGEND, *_not_compared(laid_out))
    comments = "".join(f"% {_in_a_line(text)}\n" for text in told)
    return f"{comments}\\begin{{tabular}}{{{columns}}}\n{body}\n\\end{{tabular}}\n"


def _leaderboard(laid_out: Board) -> tuple[list[str], list[list[str]]]:
    headings = [*laid_out.axes, "auditor", "threat model", *(column.title for column in laid_out.columns)]
    rows = [_leaderboard_row(setting, laid_out.columns) for setting in laid_out.settings]
    return [_in_a_line(heading) for heading in headings], [[_in_a_line(cell) for cell in row] for row in rows]


def _in_a_line(text: str) -> str:
    return _CONTROLS.sub("", " ".join(text.splitlines()))


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _leaderboard_row(setting: Setting, columns: Sequence[Column]) -> list[str]:
    states = [cell.state for cell in setting.cells]
    unfinished = "" if "done" in states else f" ({', '.join(dict.fromkeys(states))})"
    figures = [_figure(column, setting.figures) for column in columns]
    return [*setting.labels, setting.auditor + unfinished, setting.threat_model, *figures]


def _figure(column: Column, figures: Mapping[str, Spread]) -> str:
    """Return a figure as it stands in a paper: the mean, its deviation over seeds, its interval, how many seeds."""
    figure = figures.get(column.title)
    if figure is None:
        return ""
    spread = "" if figure.deviation is None else f" ± {column.form(figure.deviation).lstrip('+')}"
    bare = replace(column.form, unit="")
    interval = "" if figure.low is None or figure.high is None else f" [{bare(figure.low)}, {bare(figure.high)}]"
    return f"{column.form(figure.mean)}{spread}{interval} (n={figure.n}){_MARKS.get(figure.standing, '')}"


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
    "↓": r"$\downarrow$",
    # After the end of a row, or at the start of one, a bracket would open an option.
    "[": "{[}",
    "]": "{]}",
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

    return pa.Table.from_pylist(list(lines)).replace_schema_metadata({"made by": "falsewitness"})


def _text(text: str, path: Path) -> Path:
    write_text(path, text)
    return path
