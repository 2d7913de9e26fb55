"""The command ``falsewitness``: its sub-commands, and what its exit codes mean."""

import io
import sys
from typing import Annotated

import typer

from falsewitness import __version__
from falsewitness.cli import catalogue, data, demo, describe, evaluate, explain, report, run
from falsewitness.cli._help import add_command, show_help_without_command
from falsewitness.core.errors import FalsewitnessError, InputError

_INTERRUPTED = 130

app = typer.Typer(
    name="falsewitness",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Can the explanation of an image classifier lie? Train models that do, measure how well, and see what exposes "
    "them.\n\nExit codes: 0 fine, 1 the run failed, 2 bad input, 130 interrupted.",
    epilog="Start with `falsewitness demo`. Examples stand in each command's own --help.",
)
add_command(app, demo.demo)
add_command(app, run.run)
add_command(app, evaluate.evaluate)
add_command(app, explain.explain)
add_command(app, catalogue.list_kinds, "list")
add_command(app, describe.describe)
add_command(app, catalogue.show)
app.add_typer(data.app, name="data")
add_command(app, report.report)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """Hold the options that come before a sub-command."""
    if version:
        typer.echo(f"falsewitness {__version__}")
        raise typer.Exit
    show_help_without_command(context)


def entry() -> None:
    """Run the command line; every known fault ends in one line on standard error and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another
    try:
        code = app(prog_name="falsewitness", standalone_mode=False)
    except typer.TyperException as error:
        sys.exit(_said(_misuse(error), InputError.exit_code))
    except FalsewitnessError as error:
        sys.exit(_said(str(error), error.exit_code))
    if code == _INTERRUPTED:  # what typer makes of KeyboardInterrupt
        _said("interrupted; run the same command again to go on from what is finished", code)
    sys.exit(code)


def _misuse(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "falsewitness"
    message = error.format_message()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See '{command} --help'."


def _said(text: str, code: int) -> int:
    sys.stderr.write(f"falsewitness: {text}\n")
    return code
