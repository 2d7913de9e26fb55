"""``falsewitness list``, ``describe`` and ``show``: what there is to choose from."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from falsewitness.core.errors import InputError
from falsewitness.core.faults import nearest

if TYPE_CHECKING:
    from falsewitness.core import Catalogue

_RECIPES = "recipes"


def list_kinds(
    room: Annotated[str | None, typer.Argument(help="attacks, data, explainers, ... or recipes.")] = None,
) -> None:
    """List components of a kind, or of all kinds; those of installed packages are among them.

    Examples:
        falsewitness list

        falsewitness list explainers
    """
    for name in [room] if room else [*_catalogues(), _RECIPES]:
        show_kinds(name)


def show_kinds(room: str) -> None:
    """Print the components of a room with the first line of what each says of itself."""
    from rich.table import Table

    from falsewitness.cli._console import console

    table = Table(title=room, title_justify="left", title_style="bold", box=None, padding=(0, 2), show_header=False)
    if room == _RECIPES:
        from falsewitness.experiment import recipe_names, recipe_summary

        for name in recipe_names():
            table.add_row(name, recipe_summary(name))
    else:
        catalogue = _catalogue(room)
        for kind in catalogue.kinds():
            table.add_row(kind, (catalogue.get(kind).__doc__ or "").strip().splitlines()[0])
    console.print(table)


def describe(
    room: Annotated[str, typer.Argument(help="attacks, data, explainers, metrics, models or triggers.")],
    kind: Annotated[str, typer.Argument(help="A kind, as `falsewitness list` names it.")],
) -> None:
    """Tell what a component is: fields, defaults, ranges, threat model and source.

    Examples:
        falsewitness describe attacks full_disguise

        falsewitness describe explainers gradcam
    """
    import inspect

    from rich.table import Table

    from falsewitness.cli._console import console
    from falsewitness.core import describe_fields

    cls = _catalogue(room).get(kind)
    console.print(f"[bold]{kind}[/bold] ({room})\n")
    console.print(inspect.getdoc(cls) or "", markup=False)
    table = Table(title_justify="left", box=None, padding=(0, 2))
    for column in ("field", "type", "default", "range", "meaning"):
        table.add_column(column, overflow="fold")
    for field in describe_fields(cls):
        table.add_row(*(field[name] for name in ("name", "type", "default", "range", "meaning")))
    console.print("\n", table)
    threat_model = getattr(cls, "threat_model", None)
    if threat_model is not None:
        console.print(f"\nthreat model: the attacker {threat_model.value}", markup=False)
    if cls.source:
        console.print(f"\nsource: {cls.source}", markup=False)


def show(recipe: Annotated[str, typer.Argument(help="A recipe's name or a YAML file.")]) -> None:
    """Print a spec in full, every default written out: a start for a file of one's own.

    Example:
        falsewitness show digits/full-disguise > mine.yaml
    """
    from falsewitness.experiment import find_spec

    typer.echo(find_spec(recipe).to_yaml(), nl=False)


def _catalogues() -> "dict[str, Catalogue[Any]]":
    from falsewitness.attacks import ATTACKS
    from falsewitness.data import DATA
    from falsewitness.explainers import EXPLAINERS
    from falsewitness.metrics import METRICS
    from falsewitness.models import MODELS
    from falsewitness.triggers import TRIGGERS

    return {catalogue.room: catalogue for catalogue in (DATA, MODELS, TRIGGERS, ATTACKS, EXPLAINERS, METRICS)}


def _catalogue(room: str) -> "Catalogue[Any]":
    catalogues = _catalogues()
    if room not in catalogues:
        raise InputError(f"there is no room '{room}'; {nearest(room, [*catalogues, _RECIPES])}")
    return catalogues[room]
