"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from falsewitness.core.errors import InputError


def usable_folder(path: Path | None) -> Path | None:
    """Return a folder to write to, unless a file is in its way.

    Raises:
        InputError: If one is.
    """
    for place in () if path is None else (path, *path.parents):
        if place.exists():
            if not place.is_dir():
                raise InputError(f"'{path}' cannot be a folder, '{place}' is a file; choose another folder")
            break
    return path


def usable_picture(path: Path | None) -> Path | None:
    """Return a PNG file to write, in place of an older picture alone.

    Raises:
        InputError: If something else has its name, or a file is in the place of one of its folders.
    """
    return None if path is None else _usable_file(path, b"\x89PNG", "picture")


def usable_page(path: Path) -> Path:
    """Return an HTML file to write, in place of an older page alone.

    Raises:
        InputError: If something else has its name, or a file is in the place of one of its folders.
    """
    return _usable_file(path, b"<!DOCTYPE html>", "page")


def _usable_file(path: Path, start: bytes, kind: str) -> Path:
    """Spare what begins otherwise than what is to be written: a name may be mistyped, and a model costs hours."""
    usable_folder(path.parent)
    if path.is_dir():
        raise InputError(f"'{path}' cannot be written, it is a folder; choose another name")
    if path.exists() and not path.is_file():
        raise InputError(f"'{path}' is a pipe or a device, so it is not replaced; choose another name")
    if path.is_file() and path.stat().st_size and _begin_of(path, len(start)) != start:
        raise InputError(f"'{path}' is there and no {kind}, so it is not replaced; choose another name or remove it")
    return path


def _begin_of(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
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
