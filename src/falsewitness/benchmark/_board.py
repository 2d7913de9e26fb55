"""Lays a benchmark out for its page: figures over seeds, and each setting beside the best."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from os.path import relpath
from pathlib import Path

from falsewitness.benchmark._page_of_run import page_of
from falsewitness.benchmark._standings import NOTES, Figure, Figures, Row, Run, with_standings
from falsewitness.benchmark._statistics import spread
from falsewitness.benchmark._survey import CellView, Survey, environment_of
from falsewitness.benchmark._tasks import Task
from falsewitness.core.values import values_key
from falsewitness.report import BOARD_COLUMNS, Board, BoardCell, Column, Result, Setting, Spread, read_result

_FIGURES = (
    "Each figure is the mean over seeds, with the standard deviation over seeds and the 95 % interval of the mean (t "
    "distribution, cut off where no value can be). Of a single seed it is the run's own, with its interval over images."
)


def board(survey: Survey, into: Path) -> Board:
    """Lay out a benchmark as it stands.

    Args:
        survey: How it stands.
        into: The folder that its page goes into: from there lead the links to the pages of runs.
    """
    matrix = survey.prepared.matrix
    rows = [row for labels, cells in _by_setting(survey).items() for row in _rows(labels, cells, into)]
    columns = tuple(column for column in BOARD_COLUMNS if any(column.title in row.setting.figures for row in rows))
    for column in columns:
        rows = with_standings(rows, column)
    return Board(
        name=survey.prepared.benchmark.name,
        summary=survey.prepared.benchmark.summary,
        command=survey.prepared.command,
        axes=tuple(axis.name for axis in matrix.axes if not axis.is_seed),
        columns=columns,
        settings=tuple(row.setting for row in rows),
        excluded=_left_out(survey),
        notes=(_FIGURES, *NOTES),
    )


_Placed = tuple[str, CellView]


def _by_setting(survey: Survey) -> Mapping[tuple[str, ...], Sequence[_Placed]]:
    """Return the cells of each setting with what tells them apart; not those that the matrix leaves out."""
    matrix = survey.prepared.matrix
    found: dict[tuple[str, ...], list[_Placed]] = {}
    for cell, view in zip(matrix.cells, survey.cells, strict=True):
        if view.task is not None:
            found.setdefault(matrix.setting(cell), []).append((matrix.repetition(cell), view))
    return found


def _rows(labels: tuple[str, ...], cells: Sequence[_Placed], into: Path) -> list[Row]:
    shown = tuple(_board_cell(repetition, view, into) for repetition, view in cells)
    done = [(name, view.task) for name, view in cells if view.state == "done" and view.task is not None]
    if not done:
        return [Row(Setting(labels, "", False, "", {}, "", shown), ())]
    runs = tuple(_run(name, task) for name, task in done)
    first, device = runs[0], environment_of(done[0][1])
    return [
        Row(
            Setting(
                labels,
                auditor,
                first.surrogate == auditor,
                first.threat_model,
                _spreads([run.figures[auditor] for run in runs if auditor in run.figures]),
                device,
                shown,
            ),
            tuple(run for run in runs if auditor in run.figures),
        )
        for auditor in dict.fromkeys(name for run in runs for name in run.figures)
    ]


def _run(repetition: str, task: Task) -> Run:
    result = read_result(task.folder.path)
    attack = result.attack
    return Run(
        repetition,
        result.data.fingerprint if result.data else "",
        task.folder,
        attack.threat_model if attack else "",
        attack.surrogate_auditor if attack else None,
        {auditor: _figures_of(result, auditor) for auditor in result.auditors or ("",)},
    )


def _figures_of(result: Result, auditor: str) -> Figures:
    found = ((column.title, _figure_of(result, column, auditor)) for column in BOARD_COLUMNS)
    return {title: figure for title, figure in found if figure is not None}


def _figure_of(result: Result, column: Column, auditor: str) -> Figure | None:
    if column.cost:
        cost = result.cost.get(column.cost)
        return None if cost is None else Figure(cost)
    asked = auditor if column.of_maps else None
    for source in column.sources:
        found = result.find(source.metric, source.name, asked)
        if found is not None:  # an undefined figure is not made up for by another one
            if found.value is None:
                return None
            key = values_key(source.metric, source.name, asked)
            return Figure(found.value, found.n, found.low, found.high, sys.intern(source.note), sys.intern(key))
    return None


def _board_cell(repetition: str, view: CellView, into: Path) -> BoardCell:
    page = None if view.task is None else page_of(view.task.folder)
    link = relpath(page, into) if page is not None and page.is_file() else None
    return BoardCell(repetition, view.state, view.reason, link)


def _spreads(runs: Sequence[Figures]) -> dict[str, Spread]:
    found = ((column, [run[column.title] for run in runs if column.title in run]) for column in BOARD_COLUMNS)
    return {column.title: _over_seeds(figures, column) for column, figures in found if figures}


def _over_seeds(figures: Sequence[Figure], column: Column) -> Spread:
    """Summarise one figure a seed; a single one keeps its own interval, over images."""
    over = spread([figure.value for figure in figures])
    first = figures[0]
    low, high = (first.low, first.high) if len(figures) == 1 else column.possible(over.low, over.high)
    images = None if first.n is None else sum(figure.n or 0 for figure in figures)
    return Spread(over.mean, over.deviation, over.n, images, low, high, note=first.note)


def _left_out(survey: Survey) -> tuple[str, ...]:
    reasons = sorted(cell.excluded for cell in survey.prepared.matrix.cells if cell.excluded)
    counted = [(reason, len(list(cells))) for reason, cells in groupby(reasons)]
    return tuple(f"{count} {'cell' if count == 1 else 'cells'}: {reason}" for reason, count in counted)
