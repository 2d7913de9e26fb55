"""Docstrings as text for a terminal."""

import inspect
import textwrap


def plain(text: str) -> str:
    """Take the marks of reStructuredText out of a text."""
    return text.replace("``", "")


def first_line(cls: type) -> str:
    """Return the first line of what a class says of itself; nothing where it says nothing."""
    return plain((cls.__doc__ or "").strip().partition("\n")[0])


def paragraphs(cls: type) -> list[list[str]]:
    """Return what a class says of itself, without line breaks: each paragraph as one string, each list as its items."""
    return [_items(block) for block in plain(inspect.cleandoc(cls.__doc__ or "")).split("\n\n")]


def _items(block: str) -> list[str]:
    items: list[str] = []
    for line in block.splitlines():
        if items and not line.startswith("* "):
            items[-1] += f" {line.strip()}"
        else:
            items.append(line)
    return items


def wrapped(text: str, width: int, indent: int = 0, hanging: int = 0) -> str:
    """Break a text into lines.

    Args:
        text: One paragraph.
        width: Of the longest line.
        indent: Spaces before every line.
        hanging: Further spaces before every line but the first.
    """
    return textwrap.fill(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_long_words=False,
        break_on_hyphens=False,
    )


def definitions(entries: dict[str, str], width: int) -> str:
    """Lay out names and what they mean in two columns."""
    column = max(len(name) for name in entries) + 4
    return "\n".join(
        f"  {name:<{column - 2}}" + wrapped(meaning, width, column)[column:] if meaning else f"  {name}"
        for name, meaning in entries.items()
    )
