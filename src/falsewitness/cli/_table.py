"""Tables of numbers as plain text."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

_GAP = 2


def laid_out(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[str, str]:
    """Write a table: names to the left, numbers to the right, headings broken between words.

    Args:
        headings: One a column.
        rows: At least one; a name and its numbers each.
        width: A name that leaves no room for its numbers within it gets a line of its own.

    Returns:
        The lines of the heading, and those of the rows.
    """
    columns = list(zip(*rows, strict=True))[1:]
    broken = [_broken(heading, cells) for heading, cells in zip(headings[1:], columns, strict=True)]
    widths = [_widest(*lines, *cells) + _GAP for lines, cells in zip(broken, columns, strict=True)]
    named = max(cell_len(headings[0]), min(_widest(*(row[0] for row in rows)), width - sum(widths)))
    height = max(map(len, broken))
    lines = zip(*([""] * (height - len(lines)) + lines for lines in broken), strict=True)
    titles = [""] * (height - 1) + [headings[0]]
    return (
        "\n".join(_line(title, named, line, widths) for title, line in zip(titles, lines, strict=True)),
        "\n".join(_line(row[0], named, row[1:], widths) for row in rows),
    )


def _broken(heading: str, cells: Sequence[str]) -> list[str]:
    return textwrap.wrap(heading, _widest(*heading.split(), *cells))


def _widest(*texts: str) -> int:
    return max(map(cell_len, texts))


def _line(name: str, named: int, cells: Sequence[str], widths: Sequence[int]) -> str:
    numbers = "".join(" " * (width - cell_len(cell)) + cell for cell, width in zip(cells, widths, strict=True))
    if cell_len(name) > named:
        return f"{name}\n{' ' * named}{numbers}"
    return f"{name}{' ' * (named - cell_len(name))}{numbers}".rstrip()
