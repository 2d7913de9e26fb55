"""``falsewitness data``: what data there is, and whether it is whole."""

from typing import TYPE_CHECKING, Annotated

import typer

from falsewitness.cli._options import Changes

if TYPE_CHECKING:
    from falsewitness.data import DataSource

app = typer.Typer(no_args_is_help=True, help="List, prepare and check data sets.")

Kind = Annotated[str, typer.Argument(help="A data set's kind, as `falsewitness data list` names it.")]


@app.command("list")
def list_data() -> None:
    """List the data sets, and whether each is decoded.

    Example:
        falsewitness data list
    """
    from falsewitness.cli.catalogue import show_kinds

    show_kinds("data")


@app.command()
def prepare(kind: Kind, changes: Changes = None) -> None:
    """Read a data set once into the cache, so that no run has to wait for it.

    Examples:
        falsewitness data prepare cifar10

        falsewitness data prepare image_folder --set root=photos --set size=96
    """
    from falsewitness.cli._console import ConsoleReporter, console

    reporter = ConsoleReporter()
    with reporter.progress(f"reading {kind}") as progress:
        dataset = _source(kind, changes).prepare(reporter.notice, progress)
    info = dataset.info
    console.print(
        f"{kind}: {len(dataset.train)} training, {len(dataset.validation)} validation and {len(dataset.test)} test "
        f"images of {info.width}x{info.height}x{info.channels} in {info.num_classes} classes; "
        f"content {dataset.fingerprint[:12]}",
        markup=False,
    )


@app.command()
def check(kind: Kind, changes: Changes = None) -> None:
    """Tell whether a data set's cache is absent, whole, damaged or older than its source.

    Examples:
        falsewitness data check cifar10

        falsewitness data check image_folder --set root=photos
    """
    from falsewitness.cli._console import console
    from falsewitness.data import describe_cache

    console.print(f"{kind}: {describe_cache(_source(kind, changes))}", markup=False)


def _source(kind: str, changes: list[str] | None) -> "DataSource":
    from falsewitness.data import DATA
    from falsewitness.experiment import changed

    raw: dict[str, object] = {"kind": kind}
    for change in changes or []:
        raw = changed(raw, change)
    return DATA.get(kind).parse(raw, f"data '{kind}'")
