"""The tables for a terminal: the page's columns, a line a model, so that any number of models fits."""

from collections.abc import Sequence
from dataclasses import dataclass

from falsewitness.report._columns import MAP_COLUMNS, MODEL_COLUMNS, Column
from falsewitness.report._run import Run
from falsewitness.report._tables import cell
from falsewitness.report._text import clean_text
from falsewitness.report._titles import titles


@dataclass(frozen=True)
class SummaryTable:
    """One table, all as text.

    Attributes:
        headings: One a column; the first says what the table is about, or nothing.
        rows: One a model, its name first.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def summary(runs: Sequence[Run]) -> list[SummaryTable]:
    """Lay out runs as text.

    Returns:
        What each model does, and for every auditor what its maps say of the models that it judged.
    """
    names = titles(runs)
    named = list(zip(names, runs, strict=True))
    auditors = dict.fromkeys(auditor for run in runs for auditor in run.result.auditors)
    tables = [_table("", MODEL_COLUMNS, named, None)]
    tables += [
        _table(f"by {clean_text(auditor)}", MAP_COLUMNS, judged, auditor)
        for auditor in auditors
        if (judged := [(name, run) for name, run in named if auditor in run.result.auditors])
    ]
    return tables


def _table(
    title: str, columns: Sequence[Column], named: Sequence[tuple[str, Run]], auditor: str | None
) -> SummaryTable:
    told = auditor is None and not all(run.done for _, run in named)
    return SummaryTable(
        (title, *(["Status"] if told else []), *(column.title for column in columns)),
        tuple(
            (
                name,
                *([run.result.status] if told else []),
                *(cell(column, run.result, auditor).value for column in columns),
            )
            for name, run in named
        ),
    )
