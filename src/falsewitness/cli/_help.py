"""Makes a command's help from its docstring: prose above the options, examples below them, one a line."""

import inspect
from collections.abc import Callable
from typing import Any

import typer


def add_command(app: typer.Typer, command: Callable[..., Any], name: str | None = None) -> None:
    """Make a function a command.

    Args:
        app: What it becomes a command of.
        command: Its docstring is the help; a section ``Examples:``, one command line a line, ends it.
        name: What to call it; the function's name where None.
    """
    prose, _, examples = inspect.cleandoc(command.__doc__ or "").partition("\n\nExamples:\n")
    # Typer breaks lines where the docstring does and wraps them once more: paragraphs go in as single lines. The line
    # break before the heading keeps the examples indented.
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in prose.split("\n\n"))
    lines = [f"  {line.strip()}" for line in examples.splitlines()]
    epilog = "\n".join(["", "Examples:", *lines]) if lines else None
    app.command(name, help=text, epilog=epilog)(command)


def show_help_without_command(context: typer.Context) -> None:
    """Print the help where no sub-command was named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
