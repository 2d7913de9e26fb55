"""From one number an image to measurements: the mean, its interval, and the same by true class."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor

from falsewitness.core import seed_for
from falsewitness.core.shapes import PerRow
from falsewitness.metrics._base import MapEvidence, Measurement, PredictionEvidence
from falsewitness.metrics._statistics import agresti_min, bootstrap_means, wilson

Flags = Bool[Tensor, " rows"]
Members = Mapping[str, Flags]
"""For each class, by name, which rows truly belong to it."""

Samples = Literal["all", "successes"]


def members(evidence: PredictionEvidence) -> Members:
    """Return the rows of every class; a row with several labels is a member of several classes."""
    return {name: evidence.targets.has(index) for index, name in enumerate(evidence.class_names)}


def map_members(evidence: MapEvidence) -> Members:
    """Return the rows of every class."""
    return {name: evidence.classes == index for index, name in enumerate(evidence.class_names)}


def scopes(evidence: MapEvidence) -> dict[Samples, Flags]:
    """Return the rows to summarise apart: all, and those on which the attack succeeded."""
    return {"all": torch.ones_like(evidence.success), "successes": evidence.success}


def proportion(name: str, hits: Flags, counted: Flags, classes: Members) -> Measurement:
    """Return the share of hits among the rows that count, with Wilson's interval.

    Args:
        name: What the measurement is called.
        hits: Whether the row is a hit.
        counted: Whether the row counts; the others are reported as excluded.
        classes: The rows of every class.
    """
    n = int(counted.sum())
    excluded = len(counted) - n
    values = _of_each_row(hits.double(), counted)
    if n == 0:
        return Measurement(name, None, 0, excluded=excluded, values=values)
    successes = int((hits & counted).sum())
    low, high = wilson(successes, n)
    per_class = means_by_class(hits.double(), counted, classes)
    return Measurement(
        name, successes / n, n, low, high, "wilson", excluded=excluded, per_class=per_class, values=values
    )


def difference(name: str, first: Flags, second: Flags, classes: Members) -> Measurement:
    """Return the share of hits in the first less that in the second, with the interval of Agresti and Min.

    Args:
        name: What the measurement is called.
        first: Whether the row is a hit in the first.
        second: The same rows in the second.
        classes: The rows of every class.
    """
    every_row = torch.ones_like(first)
    values = first.double() - second.double()
    if len(values) == 0:
        return Measurement(name, None, 0, values=_of_each_row(values, every_row))
    low, high = agresti_min(int((first & ~second).sum()), int((second & ~first).sum()), len(first))
    per_class = means_by_class(values, every_row, classes)
    return Measurement(
        name,
        float(values.mean()),
        len(first),
        low,
        high,
        "agresti_min",
        per_class=per_class,
        values=_of_each_row(values, every_row),
    )


def means(
    values: Mapping[str, PerRow],
    defined: Flags,
    seed: int,
    *,
    scope: Flags | None = None,
    samples: Samples = "all",
    classes: Members | None = None,
) -> list[Measurement]:
    """Return the mean of every quantity, with a bootstrap interval where there are two images or more.

    Args:
        values: The quantities: a number a row each.
        defined: Rows where the quantities are defined; the others are reported as excluded.
        seed: The evidence's seed.
        scope: The rows to look at; all of them where None.
        samples: What those rows are called.
        classes: The rows of every class, where the means are wanted for each class.
    """
    scope = torch.ones_like(defined) if scope is None else scope
    used = scope & defined
    n, excluded = int(used.sum()), int((scope & ~defined).sum())
    rows = {name: _of_each_row(column, used) if samples == "all" else None for name, column in values.items()}
    if n == 0:
        return [Measurement(name, None, 0, samples=samples, excluded=excluded, values=rows[name]) for name in values]
    table = torch.stack([column[used].double() for column in values.values()], dim=1).cpu().numpy()
    has_spread = n > 1
    intervals = bootstrap_means(table, seed_for(seed, "bootstrap")) if has_spread else [(None, None)] * len(values)
    return [
        Measurement(
            name,
            float(column.mean()),
            n,
            low,
            high,
            "bootstrap" if has_spread else "none",
            samples,
            excluded,
            means_by_class(values[name], used, classes or {}),
            rows[name],
        )
        for name, column, (low, high) in zip(values, table.T, intervals, strict=True)
    ]


def map_means(
    values: Mapping[str, PerRow], defined: Flags, evidence: MapEvidence, *, per_class: bool = False
) -> list[Measurement]:
    """Return the means over all samples (by true class too, where wanted), then over the successes."""
    classes = map_members(evidence) if per_class else {}
    return [
        measurement
        for samples, scope in scopes(evidence).items()
        for measurement in means(
            values,
            defined,
            evidence.seed,
            scope=scope,
            samples=samples,
            classes=classes if samples == "all" else {},
        )
    ]


def means_by_class(values: PerRow, used: Flags, classes: Members) -> dict[str, float]:
    """Return the mean of the used rows of every class that has any."""
    return {name: float(values[rows & used].double().mean()) for name, rows in classes.items() if (rows & used).any()}


def _of_each_row(values: PerRow, used: Flags) -> Float32[np.ndarray, " rows"]:
    numbers: Float32[np.ndarray, " rows"] = torch.where(used, values, torch.nan).float().cpu().numpy()
    return numbers
