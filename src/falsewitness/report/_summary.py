"""The table of models for a terminal: the page's columns as rows, so that it stays narrow."""

from collections.abc import Sequence

from falsewitness.report._columns import MAP_COLUMNS, MODEL_COLUMNS
from falsewitness.report._run import Run
from falsewitness.report._tables import cell
from falsewitness.report._text import titles


def summary(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Lay out runs side by side as text.

    Returns:
        The headings, one a model; and the rows, one a quantity, those of maps once for every auditor.
    """
    names = [title.rpartition("/")[2] for title in titles(runs)]
    headings = ["", *(names if len(set(names)) == len(names) else titles(runs))]
    rows = [["status", *(run.result.status for run in runs)]] if not all(run.done for run in runs) else []
    rows += [[column.title, *(cell(column, run.result, None).value for run in runs)] for column in MODEL_COLUMNS]
    for auditor in dict.fromkeys(auditor for run in runs for auditor in run.result.auditors):
        rows.append([f"by {auditor}:", *[""] * len(runs)])
        rows += [
            [
                f"  {column.title}",
                *(cell(column, run.result, auditor if auditor in run.result.auditors else None).value for run in runs),
            ]
            for column in MAP_COLUMNS
        ]
    return headings, rows
