"""Lays out a benchmark: every cell of the matrix as a checked spec."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from falsewitness.benchmark._axes import (
    RECIPE,
    Raw,
    change_of,
    expect_axes,
    fields_of,
    numbers_of,
    overlap,
    without_effect,
)
from falsewitness.benchmark._benchmark import Benchmark, Exclusion, label_of
from falsewitness.core import DataInfo, Fault, InputError, SpecError
from falsewitness.core.faults import nearest, shown
from falsewitness.data import DataSource
from falsewitness.experiment import Spec, changed, laid_over, parse_spec, raw_spec

_SEEDS = {"seed", "data.split_seed"}


@dataclass(frozen=True)
class Axis:
    """What is varied.

    Attributes:
        name: As the benchmark has it.
        labels: Of its values, in their order.
        numbers: Its values, where all are numbers that have no other label; empty where they are not.
        is_seed: Whether it only repeats a setting: its cells are summarised, not compared.
    """

    name: str
    labels: tuple[str, ...]
    numbers: tuple[float, ...]
    is_seed: bool


@dataclass(frozen=True)
class Cell:
    """One experiment of a benchmark.

    Attributes:
        labels: Its place on every axis.
        spec: Checked.
        excluded: Why it is left out; empty where it is not.
    """

    labels: tuple[str, ...]
    spec: Spec
    excluded: str = ""


@dataclass(frozen=True)
class Matrix:
    """All cells of a benchmark.

    Attributes:
        axes: In the order of the file.
        cells: The first axis varies slowest.
    """

    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]

    def setting(self, cell: Cell) -> tuple[str, ...]:
        """Return a cell's place on the axes that are compared."""
        return tuple(label for axis, label in zip(self.axes, cell.labels, strict=True) if not axis.is_seed)

    def named(self, place: int) -> str:
        """Return a cell's place on every axis, in words."""
        return _named(self.axes, self.cells[place].labels)

    def repetition(self, cell: Cell) -> str:
        """Return what tells a cell from the others of its setting."""
        named = [f"{a.name} {label}" for a, label in zip(self.axes, cell.labels, strict=True) if a.is_seed]
        return ", ".join(named) or f"seed {cell.spec.seed}"


def lay_out(benchmark: Benchmark, changes: Sequence[str] = ()) -> Matrix:
    """Return the cells of a benchmark, each checked against its data.

    Args:
        benchmark: What to lay out.
        changes: ``a.b=value`` each, the value in YAML: set in every cell, over what is common to all.

    Raises:
        InputError: If an axis, an exclusion or a change does not fit.
        SpecError: With every fault of every cell.
    """
    where = f"benchmark '{benchmark.name}'"
    try:
        expect_axes(benchmark, changes, where)
    except SpecError as error:
        raise SpecError([*error.faults, *_faults_of_other_axes(benchmark, error.faults, changes)], where) from None
    axes = tuple(
        Axis(name, tuple(points), numbers_of(points), all(field in _SEEDS for field in fields_of(name, points)))
        for name, points in benchmark.axes.items()
    )
    excluded = [_rule(exclusion, axes, f"exclude[{place}]", where) for place, exclusion in enumerate(benchmark.exclude)]
    started = {
        recipe: _started(benchmark, recipe, changes, where)
        for recipe in benchmark.axes.get(RECIPE, {"": benchmark.base}).values()
    }
    if faults_of_common := list(without_effect(benchmark, started.values())):
        raise SpecError(faults_of_common, where)
    faults = _Faults(axes)
    limit = benchmark.budget.cells
    cells: list[Cell] = []
    counted = 0
    for labels, raw in _combined(benchmark, started):
        spec = faults.parsed(labels, raw)
        if spec is None:
            continue
        reason = next((reason for meets, reason in excluded if meets(labels)), "")
        if not reason:
            counted += 1
            if limit is not None and counted > limit:
                reason = f"beyond the budget of {limit} cells"
        cells.append(Cell(labels, spec, reason))
    faults.raise_if_any(where)
    if all(cell.excluded for cell in cells):
        raise InputError(f"{where}: 'exclude' leaves out every cell; expected one at least that is not")
    return Matrix(axes, tuple(cells))


def _faults_of_other_axes(benchmark: Benchmark, found: Iterable[Fault], changes: Sequence[str]) -> Iterator[Fault]:
    """Yield what is wrong with the values of the sound axes of a benchmark that has faulty ones.

    Cells lack what the faulty ones would have set, so that faults elsewhere may be none; and all of them where it is
    the data.
    """
    faulty = {fault.path for fault in found}
    sound = {name: points for name, points in benchmark.axes.items() if f"axes.{name}" not in faulty}
    missed = [name for name in benchmark.axes if name not in sound]
    if not missed or not sound or "base" in faulty or any(_may_set_data(name, benchmark.axes[name]) for name in missed):
        return
    fields = [field for name, points in sound.items() for field in fields_of(name, points)]
    try:
        lay_out(benchmark.model_copy(update={"axes": sound, "exclude": ()}), changes)
    except SpecError as error:
        yield from (fault for fault in error.faults if any(overlap(fault.path, field) for field in fields))
    except InputError:
        return  # of the benchmark as a whole, which is not this one


def _may_set_data(name: str, points: Mapping[str, Any]) -> bool:
    told = [name, *(str(key) for value in points.values() if isinstance(value, dict) for key in value)]
    return any(word.partition(".")[0] in ("data", RECIPE) for word in told)


def _combined(benchmark: Benchmark, started: Mapping[str | None, Raw]) -> Iterator[tuple[tuple[str, ...], Raw]]:
    """Yield the labels and the plain spec of every cell, the first axis slowest; recipes are as they were started."""
    names = list(benchmark.axes)
    by_axis = [
        [(label, change_of(name, value)) for label, value in points.items()] for name, points in benchmark.axes.items()
    ]
    recipe_at = names.index(RECIPE) if RECIPE in names else None

    def further(depth: int, labels: tuple[str, ...], raw: Raw) -> Iterator[tuple[tuple[str, ...], Raw]]:
        if depth == len(by_axis):
            yield labels, raw
            return
        for label, change in by_axis[depth]:
            yield from further(depth + 1, (*labels, label), change(raw))

    if recipe_at is None:
        yield from further(0, (), started[benchmark.base])
        return
    # Other axes change what the recipe says, so it comes first, wherever it stands in the file.
    before = by_axis[:recipe_at]
    by_axis[recipe_at] = [(label, lambda raw: raw) for label in benchmark.axes[RECIPE]]
    for labels in itertools.product(*([label for label, _ in axis] for axis in before)):
        for recipe_label, recipe in benchmark.axes[RECIPE].items():
            raw = started[recipe]
            for axis, label in zip(before, labels, strict=True):
                raw = dict(axis)[label](raw)
            yield from further(recipe_at + 1, (*labels, recipe_label), raw)


def _started(benchmark: Benchmark, recipe: str | None, changes: Sequence[str], where: str) -> Raw:
    """Return what cells have before any axis: the recipe, what is common to all, and the changes."""
    try:
        raw = {"name": benchmark.name} if recipe is None else raw_spec(recipe)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return changed(laid_over(raw, benchmark.common), changes)


def _rule(
    exclusion: Exclusion, axes: Sequence[Axis], path: str, where: str
) -> tuple[Callable[[tuple[str, ...]], bool], str]:
    """Return what tells whether a cell is excluded, and the reason."""
    names = [axis.name for axis in axes]
    wanted: list[tuple[int, set[str]]] = []
    for name, values in exclusion.where.items():
        if name not in names:
            raise SpecError([Fault(f"{path}.where", f"there is no axis {shown(name)}; {nearest(name, names)}")], where)
        place = names.index(name)
        labels = [label_of(value) for value in (values if isinstance(values, list) else [values])]
        for label in labels:
            if label not in axes[place].labels:
                hint = nearest(label, axes[place].labels)
                raise SpecError([Fault(f"{path}.where.{name}", f"there is no value {shown(label)}; {hint}")], where)
        wanted.append((place, set(labels)))
    return lambda labels: all(labels[place] in allowed for place, allowed in wanted), exclusion.reason


class _Faults:
    """Parses and checks cells, and collects what is wrong with them: each fault once, with a cell that has it."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        self._axes = axes
        self._found: dict[Fault, tuple[str, int]] = {}
        self._of_setting: dict[tuple[str, ...], list[Fault]] = {}

    def parsed(self, labels: tuple[str, ...], raw: Raw) -> Spec | None:
        """Return a cell's spec; None where it is faulty."""
        try:
            spec = parse_spec(raw, "cell")
        except SpecError as error:
            self._note(error.faults, labels)
            return None
        # Whether a cell fits its data does not depend on seeds, and there are many.
        setting = tuple(label for axis, label in zip(self._axes, labels, strict=True) if not axis.is_seed)
        if setting not in self._of_setting:
            self._of_setting[setting] = _checked(spec)
        self._note(self._of_setting[setting], labels)
        return spec

    def _note(self, faults: Iterable[Fault], labels: tuple[str, ...]) -> None:
        for fault in faults:
            first, count = self._found.get(fault, (_named(self._axes, labels), 0))
            self._found[fault] = first, count + 1

    def raise_if_any(self, where: str) -> None:
        """Raise with all faults.

        Raises:
            SpecError: If there is one.
        """
        if self._found:
            raise SpecError([told_with_cells(fault, *cells) for fault, cells in self._found.items()], where)


def told_with_cells(fault: Fault, first: str, count: int) -> Fault:
    """Return a fault with the first of the cells that have it, in words, and how many there are."""
    more = f", and in {count - 1} more" if count > 1 else ""
    return Fault(fault.path, f"{fault.message} (in the cell {first}{more})")


def _named(axes: Sequence[Axis], labels: Sequence[str]) -> str:
    return ", ".join(f"{axis.name} {label}" for axis, label in zip(axes, labels, strict=True))


def _checked(spec: Spec) -> list[Fault]:
    try:
        return spec.check(_info(spec.data))
    except InputError as error:
        return [Fault("data", str(error))]


@lru_cache(maxsize=64)
def _info(data: DataSource) -> DataInfo:
    return data.info()
