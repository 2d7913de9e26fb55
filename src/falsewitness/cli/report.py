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

    It shows their figures, curves and a gallery of images and maps.

    Examples:
        falsewitness report runs
        falsewitness report runs/digits-badnets-* runs/digits-fooling-* --out a.html
    """
    from falsewitness.cli._summary import find_runs, show_runs
    from falsewitness.report import write_report

    paths = find_runs(runs)
    page = write_report(paths, out)
    show_runs(paths, page)
