"""Writes the page: one HTML file that opens anywhere, offline."""

import logging
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from falsewitness.core.files import replacing
from falsewitness.report._collect import Collection, collect
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
    for line in collection.left_out:
        _log.warning("left out: %s", line)
    return write_page(collection, out)


def write_page(collection: Collection, out: Path) -> Path:
    """Write the page of runs that have been read, likewise.

    Raises:
        RunFailedError: If the page cannot be written.
    """
    with replacing(out) as temporary:
        # Half of a surrogate pair, which JSON can carry, has no UTF-8; it becomes a character reference.
        temporary.write_bytes(render(collection).encode("utf-8", errors="xmlcharrefreplace"))
    return out


def render(collection: Collection) -> str:
    """Return the page as HTML."""
    templates = Environment(
        loader=PackageLoader("falsewitness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = lay_out((*collection.given, *collection.parents), collection.left_out)
    return templates.get_template("page.html.j2").render(page=page).strip() + "\n"
