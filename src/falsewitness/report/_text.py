"""How words and numbers from a run folder are written on a page."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MISSING = "\u2013"
NARROW_SPACE = "\u202f"
MINUS = "\u2212"
ISOLATES = "\u2068\u2069"
"""Signs around a name that keep its direction of writing from the line it stands in."""


def clean_text(text: str) -> str:
    """Bring a name from data into one line of printable signs that keeps its direction to itself."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    turns = any(unicodedata.bidirectional(sign) in ("R", "AL", "AN") for sign in line)
    return f"{ISOLATES[0]}{line}{ISOLATES[1]}" if turns else line


def fixed(value: float | None, decimals: int) -> str:
    """Write a number with a fixed number of decimals."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", MINUS)


@dataclass(frozen=True)
class Form:
    """How one kind of number is written; called with a number, it writes it.

    Attributes:
        decimals: How many stand behind the point.
        unit: What stands behind the number.
        scale: What the number is multiplied by first.
        signed: Whether a number above zero has a plus before it.
    """

    decimals: int
    unit: str = ""
    scale: float = 1
    signed: bool = False

    def __call__(self, value: float | None) -> str:
        """Write a number; a dash where there is none."""
        number = fixed(None if value is None else self.scale * value, self.decimals)
        sign = "+" if self.signed and number[0].isdigit() and float(number) > 0 else ""
        return with_unit(sign + number, self.unit) if self.unit else sign + number


percent = Form(1, "%", scale=100)
"""Writes a share of one as a percentage."""

points = Form(1, "pp", scale=100, signed=True)
"""Writes a difference of two shares in percentage points, always with its sign."""


def with_unit(number: str, unit: str) -> str:
    """Put a unit behind a number so that no line breaks between them."""
    return number if number == MISSING else f"{number}{NARROW_SPACE}{unit}"


def general(value: float | None) -> str:
    """Write any number so that a column of them reads well: four decimals below ten, fewer above."""
    if value is None or not math.isfinite(value):
        return MISSING
    size = abs(value)
    return fixed(value, 4 if size < 10 else 2 if size < 1000 else 0)


def cut(name: str, most: int) -> str:
    """Return what there is room for of a name; the figure beside it is never cut."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def whole_percent(value: float) -> str:
    """Write a share of one as a whole percentage."""
    return with_unit(fixed(100 * value, 0), "%")


def without_common_start(names: Sequence[str]) -> list[str]:
    """Leave out the part before the first slash where all names share it."""
    starts = {name.partition("/")[0] for name in names if name.partition("/")[2]}
    shared = len(names) > 1 and len(starts) == 1 and all("/" in name for name in names)
    return [name.partition("/")[2] for name in names] if shared else list(names)
