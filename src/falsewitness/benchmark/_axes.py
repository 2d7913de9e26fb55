"""The axes of a benchmark: which fields of a spec they set, what they make of a spec, and what does not fit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from falsewitness.benchmark._benchmark import Benchmark, label_of
from falsewitness.core import Fault, SpecError
from falsewitness.core.faults import nearest, shown
from falsewitness.experiment import Spec, laid_over

MOST_CELLS = 1_000_000
"""Cells of a matrix."""

RECIPE = "recipe"
"""The axis that takes the place of a benchmark's base."""

_FIELDS = set(Spec.model_fields) - {"name"}

Raw = dict[str, Any]
"""A spec as plain data, before it is checked."""

Change = Callable[[Raw], Raw]
"""What a value of an axis does to a spec."""


def expect_axes(benchmark: Benchmark, changes: Sequence[str], where: str) -> None:
    """Check what is varied, before anything is read.

    Raises:
        SpecError: If an axis sets no field, two set the same, or a change sets what an axis does.
    """
    faults = []
    if RECIPE in benchmark.axes and benchmark.base is not None:
        faults.append(Fault("base", "expected none beside an axis 'recipe', which takes its place; remove one of them"))
    if benchmark.base is None and not {RECIPE, "data"} & set(benchmark.axes) and not _has_data(benchmark.common):
        faults.append(Fault("base", "missing; expected the name of a recipe or a file, or an axis 'recipe'"))
    for name, points in benchmark.axes.items():
        if name == RECIPE:
            faults += [
                Fault(f"axes.recipe.{label}", f"expected the name of a recipe or a file, got {shown(value)}")
                for label, value in points.items()
                if not isinstance(value, str)
            ]
        elif not _is_field(name):
            wrong = [value for value in points.values() if not _sets_fields(value)]
            more = f", and {len(wrong) - 1} more such values" if len(wrong) > 1 else ""
            if wrong:
                hint = nearest(name.partition(".")[0], {*_FIELDS, RECIPE})
                expected = "a mapping of fields to their values, such as {seed: 1}"
                message = f"is no field of a spec ({hint}), so expected {expected}, got {shown(wrong[0])}{more}"
                faults.append(Fault(f"axes.{name}", f"'{name}' {message}"))
    number = math.prod(len(points) for points in benchmark.axes.values())
    if number > MOST_CELLS:
        faults.append(Fault("axes", f"expected at most {MOST_CELLS} cells, got {number}"))
    if faults:
        raise SpecError(faults, where)
    fields = {name: fields_of(name, points) for name, points in benchmark.axes.items()}
    for one, other in itertools.combinations(fields, 2):
        faults += [
            Fault(f"axes.{other}", f"sets '{field}', which the axis '{one}' sets, too; vary a field on one axis only")
            for field in fields[other]
            if any(overlap(field, earlier) for earlier in fields[one])
        ]
    if faults:
        raise SpecError(faults, where)
    varied = [field for of_axis in fields.values() for field in of_axis]
    paths = [path for path in (change.partition("=")[0] for change in changes) if any(overlap(path, f) for f in varied)]
    if paths:
        advice = "is varied by an axis of the benchmark; change the axis in a copy of it"
        raise SpecError([Fault(f"--set {path}", advice) for path in paths], where)


def _has_data(common: Raw) -> bool:
    return isinstance(common.get("data"), dict) and "kind" in common["data"]


def without_effect(benchmark: Benchmark, started: Iterable[Raw]) -> Iterator[Fault]:
    """Yield what is said to be common to all cells, while every value of an axis says something else."""
    paths = [path for path, _ in _leaves(benchmark.common)]
    for name, points in benchmark.axes.items():
        changes = [change_of(name, value) for value in points.values()] if name != RECIPE and paths else []
        pairs = [(dict(_leaves(raw)), dict(_leaves(change(raw)))) for raw in started for change in changes]
        for path in paths:
            if pairs and all(before.get(path) != after.get(path) for before, after in pairs):
                yield Fault(f"common.{path}", f"has no effect beside the axis '{name}'; remove it from one of the two")


def _leaves(raw: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value in nested mappings with its dotted path."""
    for key, value in raw.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _is_field(name: object) -> bool:
    return isinstance(name, str) and name.partition(".")[0] in _FIELDS and all(name.split("."))


def _sets_fields(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_is_field, value))


def fields_of(name: str, points: Mapping[str, Any]) -> list[str]:
    """Return the fields of the spec that an axis sets."""
    if name == RECIPE or _is_field(name):
        return [name]
    return list(dict.fromkeys(field for value in points.values() for field in value))


def overlap(one: str, other: str) -> bool:
    """Tell whether two dotted paths are of one field, or of a field and its part."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def change_of(name: str, value: Any) -> Change:  # noqa: ANN401
    """Return what a value of an axis does to a spec."""
    if name == RECIPE:
        return lambda raw: raw
    overlays = [_nested(path, item) for path, item in ({name: value} if _is_field(name) else value).items()]

    def change(raw: Raw) -> Raw:
        for overlay in overlays:
            raw = laid_over(raw, overlay)
        return raw

    return change


def _nested(path: str, value: Any) -> Raw:  # noqa: ANN401
    """Return a mapping of mappings that holds a value at a dotted path."""
    for key in reversed(path.split(".")):
        value = {key: value}
    nested: Raw = value
    return nested


def numbers_of(points: Mapping[str, Any]) -> tuple[float, ...]:
    """Return an axis's values where all are numbers that have no other label; none where they are not."""
    numbers = [
        value
        for label, value in points.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and label_of(value) == label
    ]
    if len(numbers) < len(points):
        return ()
    return tuple(map(float, numbers)) if any(isinstance(number, float) for number in numbers) else tuple(numbers)
