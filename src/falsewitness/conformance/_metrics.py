"""What every metric must keep."""

import json
import math
from dataclasses import asdict, fields, replace

import numpy as np
from torch import Tensor

from falsewitness.conformance._contract import ConformanceError, repeated, require
from falsewitness.conformance._evidence import CASES, CLASS_NAMES, Evidence, sample_count
from falsewitness.metrics import (
    MapEvidence,
    MapMetric,
    Measurement,
    Metric,
    PredictionEvidence,
    PredictionMetric,
    StampEvidence,
    StampMetric,
)


def check_metric(metric: Metric) -> None:
    """Check what the metric measures on made-up evidence of its type.

    Raises:
        ConformanceError: With the first promise that it breaks.
    """
    types = [base for base in CASES if isinstance(metric, base)]
    require(len(types) == 1, f"expected a PredictionMetric, a MapMetric or a StampMetric, got {len(types)} of them")
    cases = CASES[types[0]]
    complete = measured(metric, next(iter(cases.values()))())
    require(
        bool(complete) and all(found.value is not None for found in complete),
        "expected values on complete evidence, got none",
    )
    for case, make in cases.items():
        evidence = make()
        runs = repeated("measure", lambda evidence=evidence: measured(metric, evidence))  # type: ignore[misc]
        require(runs.first == runs.second, f"{case}: expected the same measurements of the same evidence, got others")
        _check_untouched(evidence, make(), case)
        for found in runs.first:
            _check_number(found, case)
            _check_samples(found, evidence, case)
            _check_values(found, evidence, case)
            _check_json(found, case)
        names = [(found.name, found.samples) for found in runs.first]
        require(len(set(names)) == len(names), f"{case}: expected measurements with names of their own, got {names}")


def measured(metric: Metric, evidence: Evidence) -> list[Measurement]:
    """Measure evidence of the metric's type.

    Raises:
        TypeError: If it is of another.
    """
    match metric, evidence:
        case PredictionMetric(), PredictionEvidence():
            return metric.measure(evidence)
        case MapMetric(), MapEvidence():
            return metric.measure(evidence)
        case StampMetric(), StampEvidence():
            return metric.measure(evidence)
    raise TypeError(f"{type(metric).__name__} does not measure {type(evidence).__name__}")


def _check_untouched(evidence: Evidence, untouched: Evidence, case: str) -> None:
    for field in fields(evidence):
        before, after = getattr(untouched, field.name), getattr(evidence, field.name)
        same = not isinstance(before, Tensor) or before.equal(after)
        require(same, f"{case}: expected measure to leave the evidence alone, but it changed {field.name}")


def _check_number(found: Measurement, case: str) -> None:
    where = f"{case}: {found.name}"
    require(
        (found.value is None) == (found.n == 0), f"{where}: expected a value where n > 0, got {found.value}, {found.n}"
    )
    numbers = [
        *found.per_class.values(),
        *(number for number in (found.value, found.low, found.high) if number is not None),
    ]
    require(all(map(math.isfinite, numbers)), f"{where}: expected finite numbers, got {numbers}")
    bounded = found.interval != "none"
    require(
        (found.low is not None) == bounded and (found.high is not None) == bounded,
        f"{where}: expected both ends of the interval '{found.interval}', got {found.low} and {found.high}",
    )
    if found.value is not None and found.low is not None and found.high is not None:
        inside = found.low <= found.value <= found.high
        require(inside, f"{where}: expected {found.value} inside its interval, got {found.low} to {found.high}")


def _check_samples(found: Measurement, evidence: Evidence, case: str) -> None:
    expected = sample_count(evidence, found.samples)
    require(
        min(found.n, found.excluded) >= 0 and found.n + found.excluded == expected,
        f"{case}: {found.name}: expected n and excluded to add up to {expected}, got {found.n} and {found.excluded}",
    )
    unknown = sorted(set(found.per_class) - set(CLASS_NAMES))
    require(not unknown, f"{case}: {found.name}: expected names of classes in per_class, got {unknown}")


def _check_values(found: Measurement, evidence: Evidence, case: str) -> None:
    """Check the numbers of the images, where the measurement has any."""
    if found.values is None:
        return
    where = f"{case}: {found.name}: expected values"
    images = sample_count(evidence, "all")
    require(found.samples == "all", f"{where} of all samples alone, got some of '{found.samples}'")
    require(
        found.values.dtype == np.float32 and found.values.shape == (images,),
        f"{where} in float32 of {images} images, got {found.values.dtype} of shape {found.values.shape}",
    )
    counted = found.values[~np.isnan(found.values)].astype(np.float64)
    require(len(counted) == found.n, f"{where} that are NaN where an image is excluded, got {len(counted)} others")
    if found.value is not None:
        rounding = 1e-5 * max(1.0, float(np.abs(counted).max()))
        is_mean = math.isclose(counted.mean(), found.value, abs_tol=rounding)
        require(is_mean, f"{where} whose mean is {found.value}, got {counted.mean()}")


def _check_json(found: Measurement, case: str) -> None:
    try:
        text = json.dumps(asdict(replace(found, values=None)), allow_nan=False)
    except TypeError as error:
        raise ConformanceError(
            f"{case}: {found.name}: expected Python's own numbers and strings, got {error}"
        ) from error
    again = Measurement(**json.loads(text))
    require(again == found, f"{case}: {found.name}: expected to read back from JSON as it was, got {again}")
