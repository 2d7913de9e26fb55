"""What a command prints when it is done: tables of models, and where to look."""

from collections.abc import Sequence
from pathlib import Path

from falsewitness.cli._console import console, say
from falsewitness.cli._table import laid_out
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
    """Print a line a model, what each auditor says of the attacked ones, and the name of the report."""
    for table in summary([read_run(path) for path in paths]):
        heading, rows = laid_out(table.headings, table.rows, console.width)
        say(f"\n{heading}", style="bold")
        say(rows)
    say(f"\nreport: {page}")
