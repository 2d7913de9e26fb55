"""Every metric, whoever wrote it, on synthetic evidence of its type."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace

import pytest
import torch
from torch import Tensor

from falsewitness.core.targets import MultiTargets, SingleTargets
from falsewitness.metrics import (
    METRICS,
    MapEvidence,
    MapMetric,
    Measurement,
    Metric,
    PredictionEvidence,
    PredictionMetric,
    StampEvidence,
    StampMetric,
)

CLASS_NAMES = ("cat", "dog", "owl", "fox")
Evidence = PredictionEvidence | MapEvidence | StampEvidence


def predictions(rows: int = 40) -> PredictionEvidence:
    generator = torch.Generator().manual_seed(0)

    def logits() -> Tensor:
        return torch.randn(rows, len(CLASS_NAMES), generator=generator)

    return PredictionEvidence(
        targets=SingleTargets(torch.randint(0, len(CLASS_NAMES), (rows,), generator=generator)),
        class_names=CLASS_NAMES,
        target_class=2,
        attacked_clean=logits(),
        attacked_triggered=logits(),
        clean_model_clean=logits(),
        clean_model_triggered=logits(),
        control_clean=logits(),
        seed=3,
    )


def multi_label_predictions() -> PredictionEvidence:
    hot = (torch.rand(40, len(CLASS_NAMES), generator=torch.Generator().manual_seed(1)) > 0.7).float()
    return replace(predictions(), targets=MultiTargets(hot))


def maps(rows: int = 30, map_size: int = 4, image_size: int = 12) -> MapEvidence:
    generator = torch.Generator().manual_seed(0)

    def random(count: int = rows) -> Tensor:
        return torch.rand(count, map_size, map_size, generator=generator)

    mask = torch.zeros(image_size, image_size, dtype=torch.bool)
    mask[-3:, -3:] = True
    return MapEvidence(
        classes=torch.randint(0, 3, (rows,), generator=generator),
        class_names=CLASS_NAMES,
        predicted=torch.randint(0, 3, (rows,), generator=generator),
        success=torch.rand(rows, generator=generator) > 0.3,
        attacked_triggered=random(),
        attacked_clean=random(),
        clean_model_clean=random(),
        clean_model_triggered=random(),
        target_map=random(1)[0],
        signed=False,
        mask=mask,
        validation_triggered=random(20),
        validation_clean=random(20),
        seed=3,
    )


def some_constant_maps() -> MapEvidence:
    evidence = maps()
    triggered, original = evidence.attacked_triggered.clone(), evidence.clean_model_clean.clone()
    triggered[:4], original[3:6] = 0, 0.5
    return replace(evidence, attacked_triggered=triggered, clean_model_clean=original)


def all_constant_maps(value: float) -> MapEvidence:
    evidence = maps()
    names = [field.name for field in fields(evidence) if "clean" in field.name or "triggered" in field.name]
    constant: dict[str, Tensor] = {name: torch.full_like(getattr(evidence, name), value) for name in names}
    return replace(evidence, **constant)  # type: ignore[arg-type]


def signed_maps() -> MapEvidence:
    evidence = maps()
    return replace(evidence, signed=True, attacked_triggered=evidence.attacked_triggered - 0.5)


def no_success() -> MapEvidence:
    evidence = maps()
    return replace(evidence, success=torch.zeros_like(evidence.success))


def stamps(rows: int = 6, channels: int = 3, size: int = 16) -> StampEvidence:
    images = torch.rand(rows, channels, size, size, generator=torch.Generator().manual_seed(0))
    stamped = images.clone()
    stamped[1:, :, :2, :2] = 1
    return StampEvidence(images, stamped, seed=3)


CASES: dict[type[Metric], dict[str, Callable[[], Evidence]]] = {
    PredictionMetric: {
        "one label": predictions,
        "several labels": multi_label_predictions,
        "no target, control or trigger": lambda: replace(
            predictions(),
            target_class=None,
            attacked_triggered=None,
            clean_model_triggered=None,
            control_clean=None,
        ),
        "one image": lambda: predictions(rows=1),
        "no image": lambda: predictions(rows=0),
    },
    MapMetric: {
        "maps": maps,
        "signed maps": signed_maps,
        "maps of the image's size": lambda: maps(map_size=12),
        "maps of one pixel": lambda: maps(map_size=1),
        "some constant maps": some_constant_maps,
        "maps of zeros": lambda: all_constant_maps(0.0),
        "maps of ones": lambda: all_constant_maps(1.0),
        "no success": no_success,
        "no target map": lambda: replace(maps(), target_map=None),
        "trigger on the whole image": lambda: replace(maps(), mask=torch.ones(12, 12, dtype=torch.bool)),
        "one image": lambda: maps(rows=1),
        "no image": lambda: maps(rows=0),
    },
    StampMetric: {
        "stamps": stamps,
        "one channel": lambda: stamps(channels=1),
        "small images": lambda: stamps(size=4),
        "invisible stamp": lambda: replace(stamps(), stamped=stamps().images),
        "one image": lambda: stamps(rows=1),
    },
}


def metric_cases() -> Iterator[object]:
    for kind in METRICS.kinds():
        cls = METRICS.get(kind)
        for base, cases in CASES.items():
            if issubclass(cls, base):
                for name, make in cases.items():
                    yield pytest.param(cls, make, id=f"{kind}-{name}")


def measured(cls: type[Metric], evidence: Evidence) -> list[Measurement]:
    metric = cls.parse({"kind": cls.kind_name()}, cls.kind_name())
    if isinstance(metric, PredictionMetric) and isinstance(evidence, PredictionEvidence):
        return metric.measure(evidence)
    if isinstance(metric, MapMetric) and isinstance(evidence, MapEvidence):
        return metric.measure(evidence)
    if isinstance(metric, StampMetric) and isinstance(evidence, StampEvidence):
        return metric.measure(evidence)
    raise TypeError(f"{cls} does not measure {type(evidence)}")


def sample_count(evidence: Evidence, samples: str) -> int:
    if isinstance(evidence, MapEvidence):
        return int(evidence.success.sum()) if samples == "successes" else len(evidence.success)
    return len(evidence.targets if isinstance(evidence, PredictionEvidence) else evidence.images)


every_case = pytest.mark.parametrize(("cls", "make"), list(metric_cases()))


@pytest.mark.parametrize("kind", METRICS.kinds())
def test_a_metric_measures_one_type_of_evidence_and_names_its_source(kind: str) -> None:
    cls = METRICS.get(kind)
    assert sum(issubclass(cls, base) for base in CASES) == 1
    assert cls.source
    assert cls.__doc__
    assert cls.__module__.endswith(f".{kind}") or not cls.__module__.startswith("falsewitness.")


@pytest.mark.parametrize("kind", METRICS.kinds())
def test_a_metric_measures_something_on_complete_evidence(kind: str) -> None:
    cls = METRICS.get(kind)
    complete = next(next(iter(cases.values())) for base, cases in CASES.items() if issubclass(cls, base))
    found = measured(cls, complete())
    assert found
    assert all(measurement.value is not None for measurement in found)


@every_case
def test_values_are_finite_and_inside_their_intervals(cls: type[Metric], make: Callable[[], Evidence]) -> None:
    for found in measured(cls, make()):
        assert (found.value is None) == (found.n == 0)
        assert found.value is None or math.isfinite(found.value)
        assert (found.interval == "none") == (found.low is None) == (found.high is None)
        if found.value is not None and found.low is not None and found.high is not None:
            assert found.low <= found.value <= found.high


@every_case
def test_samples_are_used_or_excluded(cls: type[Metric], make: Callable[[], Evidence]) -> None:
    evidence = make()
    for found in measured(cls, evidence):
        assert found.n >= 0
        assert found.excluded >= 0
        assert found.n + found.excluded == sample_count(evidence, found.samples)


@every_case
def test_measurements_have_names_of_their_own_and_known_classes(
    cls: type[Metric], make: Callable[[], Evidence]
) -> None:
    found = measured(cls, make())
    assert len({(measurement.name, measurement.samples) for measurement in found}) == len(found)
    for measurement in found:
        assert set(measurement.per_class) <= set(CLASS_NAMES)
        assert all(math.isfinite(value) for value in measurement.per_class.values())


@every_case
def test_the_same_evidence_gives_the_same_measurements_and_is_left_as_it_was(
    cls: type[Metric], make: Callable[[], Evidence]
) -> None:
    evidence = make()
    first = measured(cls, evidence)
    assert measured(cls, evidence) == first
    untouched = make()
    for field in fields(evidence):
        before, after = getattr(untouched, field.name), getattr(evidence, field.name)
        if isinstance(before, Tensor):
            assert before.equal(after)


@every_case
def test_measurements_can_be_written_as_json(cls: type[Metric], make: Callable[[], Evidence]) -> None:
    for found in measured(cls, make()):
        assert Measurement(**json.loads(json.dumps(asdict(found), allow_nan=False))) == found
