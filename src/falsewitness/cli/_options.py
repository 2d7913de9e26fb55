"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from falsewitness.core.errors import InputError
from falsewitness.core.files import what_lies_at


def usable_folder(path: Path | None) -> Path | None:
    """Return a folder to write to, unless a file is in its way.

    Raises:
        InputError: If one is.
    """
    for place in () if path is None else (path, *path.parents):
        if (found := what_lies_at(place)) != "nothing":
            if found != "a folder":
                raise InputError(f"'{path}' cannot be a folder, '{place}' is {found}; choose another folder")
            break
    return path


def usable_picture(path: Path | None) -> Path | None:
    """Return a PNG file to write, in place of a picture of ours alone.

    Raises:
        InputError: If its name ends otherwise, something else has it, or a file is in the place of one of its folders.
    """
    return None if path is None else _called(".png", _usable_file(path, b"\x89PNG", "picture"))


def usable_page(path: Path) -> Path:
    """Return an HTML file to write, in place of a page of ours alone.

    Raises:
        InputError: If its name ends otherwise, something else has it, or a file is in the place of one of its folders.
    """
    return _called(".html", _usable_file(path, b"<!DOCTYPE html>", "page"))


def usable_table(path: Path) -> Path:
    """Return a table of a benchmark to write, in place of one of ours alone.

    Raises:
        InputError: If something else has its name, or a file is in the place of one of its folders.
    """
    return _usable_file(path, b"", "table", ends=2**16)  # a Parquet file tells at its end what it holds


def _usable_file(path: Path, start: bytes, kind: str, ends: int = 500) -> Path:
    """Spare what falsewitness has not written: a name may be mistyped, and a photo has no second copy."""
    usable_folder(path.parent)
    there = what_lies_at(path)
    if there not in ("nothing", "a file"):
        raise InputError(f"'{path}' is {there}, so it is not replaced; choose another name")
    found = _ends_of(path, ends) if there == "a file" else b""
    if found and not (found.startswith(start) and any(mark in found for mark in _MARKS)):
        raise InputError(
            f"'{path}' is there and no {kind} that falsewitness has made, so it is not replaced; "
            "choose another name or remove it"
        )
    return path


def _called(ending: str, path: Path) -> Path:
    """Return the path; other programs believe a name, so a PNG is not called ``.jpg``."""
    if not path.name.lower().endswith(ending):
        raise InputError(f"'{path}' cannot be written: expected a name that ends in {ending}; choose another name")
    return path


_MARKS = (b"falsewitness", b'"state","reason","run",')
"""What our files say near their ends: what made them; of CSV, which has no place for that, the columns."""


def _ends_of(path: Path, count: int) -> bytes:
    """Return the first and the last bytes of a file."""
    try:
        with path.open("rb") as file:
            begin = file.read(count)
            file.seek(max(len(begin), path.stat().st_size - count))
            return begin + file.read()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}; choose another name") from None


Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change a field, the value in YAML; may be repeated."),
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", callback=usable_folder, help="The folder that run folders go into."),
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, ...")]
