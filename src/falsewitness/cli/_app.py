"""The sub-commands of ``falsewitness``, and what its exit codes mean."""

import errno
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from falsewitness import __version__
from falsewitness.cli import bench, catalogue, data, demo, describe, evaluate, explain, report, run
from falsewitness.cli._help import add_command, show_help_without_command
from falsewitness.core.errors import FalsewitnessError, InputError, first_line, one_line, tells_of_memory, tells_of_room
from falsewitness.core.faults import shown

app = typer.Typer(
    name="falsewitness",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Can the explanation of an image classifier lie? Train models that do, measure how well, and see what exposes "
    "them.\n\nExit codes: 0 fine, 1 the run failed, 2 bad input, 130 interrupted, 143 terminated.",
    epilog="Start with `falsewitness demo`. Examples stand in each command's own --help.",
)
add_command(app, demo.demo)
add_command(app, run.run)
add_command(app, evaluate.evaluate)
add_command(app, explain.explain)
add_command(app, catalogue.list_kinds, "list")
add_command(app, describe.describe)
add_command(app, catalogue.show)
app.add_typer(bench.app, name="bench")
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


def answer() -> int:
    """Do what the command line says and return the exit code; a known fault is told on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another
    warnings.filterwarnings("ignore", module="PIL")  # an image is taken, or refused with a line of our own
    try:
        _expect_current_folder()
        code = int(app(prog_name="falsewitness", standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        return _said([one_line(_misuse(error))], InputError.exit_code)
    except FalsewitnessError as error:
        return _said(error.lines, error.exit_code)
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        fault = _fault_of_the_machine(error)
        if fault is None:
            raise
        return _said(fault.lines, fault.exit_code)


def _expect_current_folder() -> None:
    # Where it was removed, the mathematics library under torch would end the process with a line that misleads.
    try:
        Path.cwd()
    except FileNotFoundError:
        raise InputError("the current folder was removed; change to one that exists, then run again") from None


def _fault_of_the_machine(error: Exception) -> FalsewitnessError | None:
    """Say what room, memory, rights or the length of a name have to do with an error; None where they have nothing."""
    if isinstance(error, OSError) and tells_of_room(error):
        if error.filename is None:  # nobody has opened what cannot be written
            _drop_output()
        what = "standard output" if error.filename is None else shown(error.filename)
        return FalsewitnessError(f"{what} cannot be written: {error.strerror}; make room, then run again")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return InputError(f"{error.strerror}: {shown(error.filename)}; choose a shorter name")
    if isinstance(error, PermissionError):
        return InputError(
            f"{error.strerror}: {shown(error.filename)}; choose another place, or ask its owner for access"
        )
    if tells_of_memory(error):
        reason = one_line(first_line(error))
        advice = "free some, or take a smaller model, smaller images or a smaller batch_size"
        return FalsewitnessError(f"there is not enough memory: {reason}; {advice}")
    return None


def _drop_output() -> None:
    """Forget what could not be written: Python would try again, and complain, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _misuse(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "falsewitness"
    message = error.format_message()
    return f"{message}{'' if message.endswith(('.', '?')) else '.'} See '{command} --help'."


def _said(lines: Sequence[str], code: int) -> int:
    sys.stderr.write("falsewitness: " + "\n".join(lines) + "\n")
    return code
