"""``falsewitness data``: what data there is, and whether it is whole."""

from typing import TYPE_CHECKING, Annotated

import typer

from falsewitness.cli._help import add_command, show_help_without_command
from falsewitness.cli._options import Changes
from falsewitness.core.errors import InputError, SpecError

if TYPE_CHECKING:
    from falsewitness.data import DataSource

app = typer.Typer(help="List, prepare and check data sets.")

Kind = Annotated[str, typer.Argument(metavar="NAME", help="A data set, as `falsewitness data list` names it.")]


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Hold what comes before a sub-command: nothing."""
    show_help_without_command(context)


def list_data() -> None:
    """List the data sets, and whether each is decoded.

    It looks at what is written beside each decoded copy and reads no image; `falsewitness data check` verifies one.

    Examples:
        falsewitness data list
    """
    from falsewitness.cli._console import console, say
    from falsewitness.cli._prose import definitions, first_line
    from falsewitness.data import DATA

    column = max(len(kind) for kind in DATA.kinds()) + 2
    sets = {f"{kind:<{column}}{_state(kind)}": first_line(DATA.get(kind)) for kind in DATA.kinds()}
    say(definitions(sets, console.width))


def prepare(kind: Kind, changes: Changes = None) -> None:
    """Read a data set into the cache, so that no run has to wait for it.

    Examples:
        falsewitness data prepare cifar10
        falsewitness data prepare image_folder --set root=photos --set size=96
    """
    from falsewitness.cli._console import ConsoleReporter, say

    reporter = ConsoleReporter()
    with reporter.progress(f"reading {kind}") as progress:
        dataset = _source(kind, changes).prepare(reporter.notice, progress)
    info = dataset.info
    say(
        f"{kind}: {len(dataset.train)} training, {len(dataset.validation)} validation and {len(dataset.test)} test "
        f"images of {info.width}x{info.height}x{info.channels} in {info.num_classes} classes; "
        f"content {dataset.fingerprint[:12]}"
    )


def check(kind: Kind, changes: Changes = None) -> None:
    """Tell whether a data set's cache is absent, whole, damaged or stale.

    Every byte of it is verified; it is stale where the source has changed since. The exit code is 0 if it is whole,
    else 1; whatever needs the data next decodes it anew.

    Examples:
        falsewitness data check cifar10
        falsewitness data check image_folder --set root=photos
    """
    from falsewitness.cli._console import say
    from falsewitness.data import CacheState, describe_cache

    report = describe_cache(_source(kind, changes))
    say(f"{kind}: {report}")
    if report.state is not CacheState.WHOLE:
        raise typer.Exit(1)


add_command(app, list_data, "list")
add_command(app, prepare)
add_command(app, check)


def _state(kind: str) -> str:
    from falsewitness.data import glance_at_cache

    try:
        return glance_at_cache(_source(kind, None)).value
    except SpecError:
        return "needs --set"
    except InputError:
        return "no source"


def _source(kind: str, changes: list[str] | None) -> "DataSource":
    from falsewitness.data import DATA
    from falsewitness.experiment import changed

    return DATA.get(kind).parse(changed({"kind": kind}, changes or []), f"data '{kind}'")
