"""Writes the page: one HTML file that opens anywhere, offline."""

import logging
from collections.abc import Sequence
from pathlib import Path

from falsewitness.report._collect import Collection, collect
from falsewitness.report._html import fill, write_html
from falsewitness.report._page import lay_out

_log = logging.getLogger(__name__)


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write one page that shows runs side by side.

    The clean model and the control that a run names as its parents are added where their folders are there. A folder
    that is damaged or not complete is left out; the page and the log say so.

    Args:
        runs: Run folders.
        out: The HTML file; an older one is replaced, whole, once the new one is complete.

    Returns:
        ``out``.

    Raises:
        InputError: If no run is given or none of them can be read.
        RunFailedError: If the page cannot be written.
    """
    collection = collect(runs)
    for line in collection.remarks:
        _log.warning("%s", line)
    return write_page(collection, out)


def write_page(collection: Collection, out: Path) -> Path:
    """Write the page of runs that have been read, likewise.

    Raises:
        RunFailedError: If the page cannot be written.
    """
    return write_html(render(collection), out)


def render(collection: Collection) -> str:
    """Return the page as HTML."""
    page = lay_out((*collection.given, *collection.parents), collection.left_out)
    return fill("page.html.j2", page=page)
