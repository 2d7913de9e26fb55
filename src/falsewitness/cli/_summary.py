"""What a command prints when it is done: tables of models, and where to look."""

from collections.abc import Sequence
from pathlib import Path

from falsewitness.cli._console import complain, console, say
from falsewitness.cli._table import laid_out
from falsewitness.core.errors import InputError, one_line
from falsewitness.report import Run, collect, summary, write_page


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Return the run folders among paths; a folder that holds some stands for all of them.

    A run that came to no result is one of them: whoever reads it says what it lacks. A folder that holds none is left
    out where others do, and that is said.

    Raises:
        InputError: If there is no such path, or none of them holds a run.
    """
    found: list[Path] = []
    empty: list[str] = []
    for path in paths:
        inside = [path] if _is_run(path) else _runs_beneath(path)
        if not inside:
            empty.append(f"'{path}' holds no run; expected a folder that `falsewitness run` has written")
            if not path.is_dir():
                raise InputError(empty[-1])
        found += inside
    if not found:
        raise InputError(empty[0])
    for line in empty:
        complain(f"left out: {line}")
    return found


def _runs_beneath(path: Path) -> list[Path]:
    """Return the run folders in a folder, and what was measured of models in files, which are no runs."""
    children = sorted(child for child in path.glob("*") if child.is_dir())
    strangers = [place for place in (path, *children) if not _is_run(place)]
    measured = [one for place in strangers for one in sorted(place.glob("evaluations/*"))]
    return [child for child in (*children, *measured) if _is_run(child)]


def _is_run(path: Path) -> bool:
    return any((path / name).is_file() for name in ("result.json", "spec.yaml"))


def show_report(paths: Sequence[Path], out: Path) -> Sequence[Run]:
    """Write the report of some runs; print a line a model, what each auditor says of the attacked ones, and its name.

    Returns:
        The runs that could be read.

    Raises:
        InputError: If none of the runs can be read; one of several is left out, and that is said.
    """
    collection = collect(paths)
    page = write_page(collection, out)
    for line in collection.remarks:
        complain(line)
    for table in summary(collection.given):
        heading, rows = laid_out(table.headings, table.rows, console.width)
        say(f"\n{heading}", style="bold")
        say(rows)
    say(f"\nreport: {one_line(str(page))}")
    return collection.given
