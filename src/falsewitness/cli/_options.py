"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change a field, the value in YAML; may be repeated."),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder that run folders go into.")]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, ...")]
