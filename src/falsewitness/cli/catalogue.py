"""``falsewitness list`` and ``show``: what there is to choose from."""

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from falsewitness.core.errors import InputError
from falsewitness.core.faults import nearest

if TYPE_CHECKING:
    from falsewitness.core import Catalogue

RECIPES, BENCHMARKS = "recipes", "benchmarks"


def list_kinds(
    room: Annotated[
        str | None, typer.Argument(metavar="KIND", help="attacks, data, explainers, ..., recipes or benchmarks.")
    ] = None,
) -> None:
    """List components of a kind, or everything that can be named.

    Components of installed packages are among them.

    Examples:
        falsewitness list
        falsewitness list explainers
        falsewitness list benchmarks
    """
    from falsewitness.cli._console import console, say
    from falsewitness.cli._prose import definitions

    found = catalogues()
    known = [*found, RECIPES, BENCHMARKS]
    rooms = known if room is None else [find_room(room, known)]
    for place, name in enumerate(rooms):
        say(f"\n{name}" if place else name, style="bold")
        entries = _kinds(found[name]) if name in found else _files(name)
        say(definitions(entries, console.width))


def show(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE|BENCHMARK|FILE", help="A recipe's or a benchmark's name, or a spec's file.")
    ],
) -> None:
    """Print a spec in full, every default written out, or a benchmark.

    It is a start for a file of one's own: `falsewitness run`, or `falsewitness bench`, takes it back as it is.

    Examples:
        falsewitness show digits/full-disguise > mine.yaml
        falsewitness show poison-rate > my-benchmark.yaml
    """
    from falsewitness.experiment import find_spec, recipe_names

    if recipe not in recipe_names() and not os.path.isfile(recipe):  # noqa: PTH113 - Path raises for long names
        from falsewitness.benchmark import benchmark_names, benchmark_text

        if recipe in benchmark_names():
            typer.echo(benchmark_text(recipe), nl=False)
            return
    typer.echo(find_spec(recipe).to_yaml(), nl=False)


def catalogues() -> "dict[str, Catalogue[Any]]":
    """Return the catalogues of all rooms, by name."""
    from falsewitness.attacks import ATTACKS
    from falsewitness.data import DATA
    from falsewitness.execution import EXECUTORS
    from falsewitness.explainers import EXPLAINERS
    from falsewitness.metrics import METRICS
    from falsewitness.models import MODELS
    from falsewitness.triggers import TRIGGERS

    return {
        catalogue.room: catalogue for catalogue in (DATA, MODELS, TRIGGERS, ATTACKS, EXPLAINERS, METRICS, EXECUTORS)
    }


def find_room(name: str, rooms: list[str]) -> str:
    """Return a room by its name, in the plural or in the singular.

    Raises:
        InputError: If there is none; names the nearest.
    """
    for room in rooms:
        if name in (room, room.removesuffix("s")):
            return room
    raise InputError(f"there is no kind of component '{name}'; {nearest(name, rooms)}")


def _kinds(catalogue: "Catalogue[Any]") -> dict[str, str]:
    from falsewitness.cli._prose import first_line

    return {kind: first_line(catalogue.get(kind)) for kind in catalogue.kinds()}


def _files(kind: str) -> dict[str, str]:
    """Return the recipes or the benchmarks that ship, with what each says of itself."""
    from falsewitness.benchmark import benchmark_names, benchmark_summary
    from falsewitness.experiment import recipe_names, recipe_summary

    if kind == BENCHMARKS:
        return {name: benchmark_summary(name) for name in benchmark_names()}
    return {name: recipe_summary(name) for name in recipe_names()}
