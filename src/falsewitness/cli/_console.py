"""What the command line draws: progress bars on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from falsewitness.training import Progress as StepProgress

console = Console(highlight=False)


class ConsoleReporter:
    """Tells the terminal how an experiment comes on."""

    def notice(self, text: str) -> None:
        """Print a line."""
        console.print(text, style="dim", markup=False)

    @contextmanager
    def progress(self, label: str) -> "Iterator[StepProgress]":
        """Draw a bar with steps and remaining time; on no terminal, print a line when it is done."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=not console.is_terminal) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        if not console.is_terminal:
            console.print(label, style="dim", markup=False)
