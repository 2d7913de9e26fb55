"""The command ``falsewitness``: its sub-commands, and what its exit codes mean."""

import sys
from typing import Annotated

import typer

from falsewitness import __version__
from falsewitness.cli import catalogue, data, demo, evaluate, explain, report, run
from falsewitness.core.errors import FalsewitnessError

app = typer.Typer(
    name="falsewitness",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Can the explanation of an image classifier lie? Train models that do, measure how well, and see what exposes "
    "them.\n\nExit codes: 0 fine, 1 the run failed, 2 bad input, 130 interrupted.",
    epilog="Start with **falsewitness demo**. Examples stand in each command's own --help.",
)
app.command()(demo.demo)
app.command()(run.run)
app.command()(evaluate.evaluate)
app.command()(explain.explain)
app.command("list")(catalogue.list_kinds)
app.command()(catalogue.describe)
app.command()(catalogue.show)
app.add_typer(data.app, name="data")
app.command()(report.report)


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    """Hold the options that come before a sub-command."""
    if version:
        typer.echo(f"falsewitness {__version__}")
        raise typer.Exit


def entry() -> None:
    """Run the command line; every known fault ends in one line on standard error and its exit code."""
    try:
        app()
    except FalsewitnessError as error:
        sys.exit(_said(str(error), error.exit_code))
    except KeyboardInterrupt:
        sys.exit(_said("interrupted; run the same command again to go on from the last finished epoch", 130))


def _said(text: str, code: int) -> int:
    sys.stderr.write(f"falsewitness: {text}\n")
    return code
