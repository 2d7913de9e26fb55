"""What a command prints when it is done: a table of models, and where to look."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from falsewitness.cli._console import console
from falsewitness.core.errors import InputError
from falsewitness.report import read_run, summary


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Return the run folders among paths; a folder that holds some stands for all of them.

    Raises:
        InputError: If a path holds none.
    """
    found: list[Path] = []
    for path in paths:
        inside = [path] if (path / "result.json").is_file() else sorted(f.parent for f in path.glob("*/result.json"))
        if not inside:
            raise InputError(f"'{path}' holds no run; expected a folder that `falsewitness run` has written")
        found += inside
    return found


def show_runs(paths: Sequence[Path], page: Path) -> None:
    """Print one row a model, and the name of the report."""
    headings, rows = summary([read_run(path) for path in paths])
    table = Table(box=None, padding=(0, 1), header_style="bold", title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print(f"report: {page}", markup=False, soft_wrap=True)
