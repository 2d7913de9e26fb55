"""The page of one run, in its folder."""

from pathlib import Path

from falsewitness.experiment import RunFolder
from falsewitness.report import write_report


def page_of(folder: RunFolder) -> Path:
    """Return where a run's page is, as every other command leaves it, too."""
    return folder.path / "report.html"


def write_page_of(folder: RunFolder) -> None:
    """Write the page of a run, with the models beside it that it was compared with.

    Raises:
        InputError: If the run cannot be read.
        RunFailedError: If the page cannot be written.
    """
    write_report([folder.path], page_of(folder))
