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


def usable_file(path: Path | None) -> Path | None:
    """Return a file to write to, unless a folder is in its place or a file in that of one of its folders.

    Raises:
        InputError: If one is.
    """
    if path is not None and path.is_dir():
        raise InputError(f"'{path}' cannot be written, it is a folder; choose another name")
    usable_folder(None if path is None else path.parent)
    return path


Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change a field, the value in YAML; may be repeated."),
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", callback=usable_folder, help="The folder that run folders go into."),
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, ...")]
