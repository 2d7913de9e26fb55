"""Who is told how an experiment comes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from falsewitness.training import Progress


class Reporter(Protocol):
    """Takes notices and draws progress; the command line has one, a script needs none."""

    def notice(self, text: str) -> None:
        """Say something once."""
        ...

    def progress(self, label: str) -> "ProgressContext":
        """Open a progress bar for the time of a block."""
        ...


class ProgressContext(Protocol):
    """A block in which progress is drawn."""

    def __enter__(self) -> Progress: ...
    def __exit__(self, *_error: object) -> bool | None: ...


class Silent:
    """A reporter that says nothing."""

    def notice(self, text: str) -> None:
        """Say nothing."""

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """Draw nothing."""
        yield lambda done, total: None
