"""What the command line draws: progress bars on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
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

from falsewitness.core.errors import one_line

if TYPE_CHECKING:
    from falsewitness.training import Progress as StepProgress

_SECONDS_BETWEEN_LINES = 60.0

console = Console(highlight=False, markup=False, emoji=False)
if console.width < 1:  # COLUMNS=0, with which nothing would be printed
    console.width = 80


def say(text: str, style: str = "") -> None:
    """Print text as it is; only a terminal breaks its lines."""
    console.print(text, style=style, soft_wrap=True)


def complain(text: str) -> None:
    """Print a line on standard error."""
    sys.stderr.write(f"falsewitness: {one_line(text)}\n")


class ConsoleReporter:
    """Tells the terminal, or a log, how an experiment comes on: a line a stage when it is finished."""

    def notice(self, text: str) -> None:
        """Print a line; names of files in it may hold anything."""
        say(one_line(text), style="dim")

    @contextmanager
    def progress(self, label: str) -> "Iterator[StepProgress]":
        """Draw a bar with steps and remaining time; where no terminal is, print a line a minute."""
        started = monotonic()
        if console.is_terminal:
            with _drawn_bar(label) as update:
                yield update
        else:
            yield _PlainLines(label)
        say(f"{label}: {duration(monotonic() - started)}", style="dim")


@contextmanager
def _drawn_bar(label: str) -> "Iterator[StepProgress]":
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _PlainLines:
    """Progress for a log."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._begun: tuple[float, int] | None = None
        self._said = monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Print a line if the last is a minute old."""
        now = monotonic()
        if self._begun is None:
            self._begun = now, done
        if now - self._said < _SECONDS_BETWEEN_LINES:
            return
        begun, before = self._begun
        left = (now - begun) / max(1, done - before) * (total - done)
        say(f"{self._label}: {done} of {total}, about {duration(left)} left", style="dim")
        self._said = now


def duration(seconds: float) -> str:
    """Write a time: ``4.2 s``, ``3 min 05 s``, ``2 h 07 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"
