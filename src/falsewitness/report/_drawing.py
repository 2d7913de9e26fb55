"""What every drawing made with matplotlib shares."""

from functools import cache
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

from falsewitness.core.files import replacing
from falsewitness.report._text import ISOLATES, clean_text

INK = "#1b1f24"
"""The colour of text and axes; the page puts its own in place of it."""


@cache
def _known_signs() -> frozenset[int]:
    return frozenset(FT2Font(findfont("DejaVu Sans")).get_charmap())


def drawable(text: str) -> str:
    """Return a name that matplotlib's own font can draw; a box stands for each sign that it lacks."""
    signs = (sign for sign in clean_text(text) if sign not in ISOLATES)
    return "".join(sign if ord(sign) in _known_signs() else "\u25a1" for sign in signs)


def write_png(figure: Figure, out: Path) -> Path:
    """Write a figure as a PNG that says what made it, in place of an older one, whole or not at all.

    Returns:
        ``out``.

    Raises:
        RunFailedError: If it cannot be written.
    """
    with replacing(out) as temporary:
        figure.savefig(temporary, format="png", facecolor="white", metadata={"Software": "falsewitness"})
    return out
