"""Who is told how an experiment comes on."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from falsewitness.training import Progress


class Reporter(Protocol):
    """Takes notices and draws progress; the command line has one, a script needs none."""

    def notice(self, text: str) -> None:
        """Say something once."""
        ...

    def progress(self, label: str) -> AbstractContextManager[Progress]:
        """Open a progress bar for the time of a block."""
        ...


class Silent:
    """A reporter that says nothing."""

    def notice(self, text: str) -> None:
        """Say nothing."""

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """Draw nothing."""
        yield lambda done, total: None


SILENT = Silent()
"""For whoever needs no report."""
