"""``falsewitness report``: one page from finished runs."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Run folders; a folder that holds some stands for all of them."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The page to write.")] = Path("report.html"),
) -> None:
    """Write one HTML page that compares runs; it opens offline.

    It shows their figures, curves and a gallery of images and maps. A run that is damaged or not complete is left out,
    and that is said; the exit code is 2 if none is left.

    Examples:
        falsewitness report runs
        falsewitness report runs/digits-badnets-* runs/digits-fooling-* --out a.html
    """
    from falsewitness.cli._summary import find_runs, show_report

    show_report(find_runs(runs), out)
