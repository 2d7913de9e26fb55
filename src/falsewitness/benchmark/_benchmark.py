"""What a benchmark is: a base recipe, axes, exclusions, a budget, limits, and who does the work."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from falsewitness.core import Strict
from falsewitness.core.faults import shown
from falsewitness.execution import AnyExecutor
from falsewitness.execution.local import Local
from falsewitness.experiment import FolderName

LONGEST_AXIS = 10_000
"""Values on one axis, at most."""


class Exclusion(Strict):
    """Cells that are left out, and why."""

    where: Annotated[dict[str, Any], Field(min_length=1)]
    """For each axis named, the value or the list of values that are left out; all must meet."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]
    """Why; it stands on the page."""


class Budget(Strict):
    """What a benchmark may take; the cells beyond it are reported as skipped."""

    hours: Annotated[float, Field(gt=0)] | None = None
    """Of training and evaluation, summed over all its models, whenever they were made."""

    cells: Annotated[int, Field(ge=1)] | None = None
    """Only so many cells, the first of the matrix."""


class Limits(Strict):
    """What a single model may take."""

    minutes: Annotated[float, Field(gt=0)] | None = None
    """Of training and evaluation; then it is stopped. What its last finished epoch left is kept."""

    retries: Annotated[int, Field(ge=0, le=100)] = 1
    """How often a model is tried again whose worker died or that took too long; a divergence comes again."""


def _labelled(points: object) -> dict[str, Any]:
    """Return an axis as labels with their values; a list gives labels of itself."""
    if not isinstance(points, dict | list | tuple):
        raise ValueError(f"expected a list of values, or a mapping of labels to values, got {shown(points)}")
    labels = [label_of(value) for value in points]
    if twice := next((label for label in labels if labels.count(label) > 1), None):
        raise ValueError(f"expected different values, got {shown(twice)} more than once")
    labelled = dict(zip(labels, points.values() if isinstance(points, dict) else points, strict=True))
    if not 1 <= len(labelled) <= LONGEST_AXIS:
        raise ValueError(f"expected 1 to {LONGEST_AXIS} values, got {len(labelled)}")
    return labelled


def label_of(value: object) -> str:
    """Return what a value of an axis is called where it has no label: itself; of a component, kind and fields."""
    if isinstance(value, dict):
        named = [str(value["kind"])] if "kind" in value else []
        return ", ".join(named + [f"{key} {label_of(item)}" for key, item in value.items() if key != "kind"])
    return value if isinstance(value, str) else json.dumps(value, default=str)


def of_kind(value: object) -> object:
    """Return a component without fields of its own, which is named by its kind alone, as a mapping."""
    return {"kind": value} if isinstance(value, str) else value


Points = Annotated[Any, AfterValidator(_labelled)]
"""The values of an axis, by label."""


class Benchmark(Strict):
    """A matrix of experiments."""

    name: FolderName
    """What it is called: its file's name where it has none."""

    summary: str = ""
    """What it is about; the first line of its file where that is a comment."""

    base: str | None = None
    """The recipe, or the file of a spec, that every cell starts from; an axis ``recipe`` takes its place."""

    common: dict[str, Any] = Field(default_factory=dict)
    """Fields that every cell has, laid over the base."""

    axes: Annotated[dict[str, Points], Field(min_length=1)]
    """What is varied. The name of an axis is a field of the spec (``attack.poison.rate``), or ``recipe``, or any
    other name for values that are mappings of fields to their values."""

    exclude: Annotated[tuple[Exclusion, ...], Field(strict=False)] = ()
    """Cells to leave out."""

    budget: Budget = Budget()
    """What it may take in all."""

    limits: Limits = Limits()
    """What a single model may take."""

    executor: Annotated[AnyExecutor, BeforeValidator(of_kind)] = Local()
    """Who does the work: its kind, or with fields of its own."""
