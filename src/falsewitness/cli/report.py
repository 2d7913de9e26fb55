"""``falsewitness report``: one page from finished runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from falsewitness.cli._options import usable_page, usable_picture
from falsewitness.core.errors import InputError, one_line


def _picture(option: str, what: str) -> Any:  # noqa: ANN401 - typer does not say what its options are
    return typer.Option(option, metavar="FILE", callback=usable_picture, help=f"Also a PNG: {what}")


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Run folders; a folder that holds some stands for all of them."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", callback=usable_page, help="The page to write.")] = Path(
        "report.html"
    ),
    overview: Annotated[
        Path | None,
        _picture("--overview", "the same images before every attacked model."),
    ] = None,
    panels: Annotated[
        Path | None,
        _picture("--panels", "each attack's own images, without and with trigger."),
    ] = None,
    auditors: Annotated[
        Path | None,
        _picture("--auditors", "one image before every auditor."),
    ] = None,
    columns: Annotated[
        Path | None,
        _picture("--columns", "a map for every class, of explainers like SHAP."),
    ] = None,
) -> None:
    """Write one HTML page that compares runs; it opens offline.

    It shows their figures, curves and a gallery of images and maps. A run that is damaged or not complete is left out,
    and that is said; the exit code is 2 if none is left.

    Examples:
        falsewitness report runs
        falsewitness report runs/digits-badnets-* runs/digits-fooling-* --out a.html
        falsewitness report runs --overview overview.png --panels panels.png
        falsewitness report runs/cifar10-* --auditors auditors.png
        falsewitness report runs/mnist-shap-* --columns columns.png
    """
    from falsewitness.cli._console import say
    from falsewitness.cli._summary import find_runs, show_report
    from falsewitness.report import (
        auditors_figure,
        columns_figure,
        count_panels,
        count_side_by_side,
        overview_figure,
        panel_figure,
    )

    asked = {"--out": out, "--overview": overview, "--panels": panels, "--auditors": auditors, "--columns": columns}
    _expect_different(asked)
    read = show_report(find_runs(runs), out)
    attacked = sum(run.done and run.result.role == "attack" for run in read)

    def only(shown: int, which: str = "that share images") -> str:
        return f" ({shown} of {attacked} attacks: those {which})" if shown < attacked else ""

    if overview is not None:
        say(one_line(f"overview: {overview_figure(read, overview)}{only(count_side_by_side(read))}"))
    if panels is not None:
        successes = only(count_panels(read), "with images that they succeed on")
        say(one_line(f"panels: {panel_figure(read, panels)}{successes}"))
    if auditors is not None:
        say(one_line(f"auditors: {auditors_figure(read, auditors)}{only(count_side_by_side(read))}"))
    if columns is not None:
        say(one_line(f"columns: {columns_figure(read, columns)}{only(count_side_by_side(read, 'columns'))}"))


def _expect_different(asked: Mapping[str, Path | None]) -> None:
    met: dict[Path, str] = {}
    for option, path in asked.items():
        if path is not None and (other := met.setdefault(path.resolve(), option)) != option:
            raise InputError(f"{option}: '{path}' is the file of {other}, too; choose another name")
