"""Made-up evidence of every type that metrics take: the ordinary, the rare and the degenerate."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from falsewitness.core.targets import MultiTargets, SingleTargets
from falsewitness.metrics import (
    MapEvidence,
    MapMetric,
    Metric,
    PredictionEvidence,
    PredictionMetric,
    StampEvidence,
    StampMetric,
)

CLASS_NAMES = ("cat", "dog", "owl", "fox")
Evidence = PredictionEvidence | MapEvidence | StampEvidence


def _predictions(rows: int = 40) -> PredictionEvidence:
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


def _multi_label_predictions() -> PredictionEvidence:
    hot = (torch.rand(40, len(CLASS_NAMES), generator=torch.Generator().manual_seed(1)) > 0.7).float()
    return replace(_predictions(), targets=MultiTargets(hot))


def _predictions_without_attack() -> PredictionEvidence:
    return replace(
        _predictions(), target_class=None, attacked_triggered=None, clean_model_triggered=None, control_clean=None
    )


def _maps(rows: int = 30, map_size: int = 4, image_size: int = 12) -> MapEvidence:
    generator = torch.Generator().manual_seed(0)

    def random(count: int = rows) -> Tensor:
        return torch.rand(count, map_size, map_size, generator=generator)

    mask = torch.zeros(image_size, image_size, dtype=torch.bool)
    mask[-3:, -3:] = True
    return MapEvidence(
        images=torch.rand(rows, 3, image_size, image_size, generator=generator),
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
        gains=None,
        mask=mask,
        validation_triggered=random(20),
        validation_clean=random(20),
        clean_model_validation_triggered=random(20),
        clean_model_validation_clean=random(20),
        seed=3,
    )


def _some_constant_maps() -> MapEvidence:
    evidence = _maps()
    triggered, original = evidence.attacked_triggered.clone(), evidence.clean_model_clean.clone()
    triggered[:4], original[3:6] = 0, 0.5
    return replace(evidence, attacked_triggered=triggered, clean_model_clean=original)


def _all_constant_maps(value: float) -> MapEvidence:
    evidence = _maps()
    names = [field.name for field in fields(evidence) if "clean" in field.name or "triggered" in field.name]
    constant: dict[str, Any] = {name: torch.full_like(getattr(evidence, name), value) for name in names}
    return replace(evidence, **constant)


def _signed_maps() -> MapEvidence:
    evidence = _maps()
    return replace(evidence, signed=True, attacked_triggered=evidence.attacked_triggered - 0.5)


def _maps_that_add_up() -> MapEvidence:
    evidence = _maps(map_size=12)
    maps = evidence.attacked_triggered - 0.5
    return replace(evidence, signed=True, attacked_triggered=maps, gains=maps.sum((1, 2)))


def _no_success() -> MapEvidence:
    evidence = _maps()
    return replace(evidence, success=torch.zeros_like(evidence.success))


def _stamps(rows: int = 6, channels: int = 3, size: int = 16) -> StampEvidence:
    images = torch.rand(rows, channels, size, size, generator=torch.Generator().manual_seed(0))
    stamped = images.clone()
    stamped[1:, :, :2, :2] = 1
    return StampEvidence(images, stamped, seed=3)


CASES: Mapping[type[Metric], Mapping[str, Callable[[], Evidence]]] = {
    PredictionMetric: {
        "one label": _predictions,
        "several labels": _multi_label_predictions,
        "no target, control or trigger": _predictions_without_attack,
        "one image": lambda: _predictions(rows=1),
        "no image": lambda: _predictions(rows=0),
    },
    MapMetric: {
        "maps that add up": _maps_that_add_up,
        "maps": _maps,
        "signed maps": _signed_maps,
        "maps of the image's size": lambda: _maps(map_size=12),
        "maps of one pixel": lambda: _maps(map_size=1),
        "some constant maps": _some_constant_maps,
        "maps of zeros": lambda: _all_constant_maps(0.0),
        "maps of ones": lambda: _all_constant_maps(1.0),
        "no success": _no_success,
        "no target map": lambda: replace(_maps(), target_map=None),
        "trigger on the whole image": lambda: replace(_maps(), mask=torch.ones(12, 12, dtype=torch.bool)),
        "one image": lambda: _maps(rows=1),
        "no image": lambda: _maps(rows=0),
    },
    StampMetric: {
        "stamps": _stamps,
        "one channel": lambda: _stamps(channels=1),
        "small images": lambda: _stamps(size=4),
        "invisible stamp": lambda: replace(_stamps(), stamped=_stamps().images),
        "one image": lambda: _stamps(rows=1),
    },
}
"""Makers of evidence by the type of metric that takes it; the first of each is complete."""


def sample_count(evidence: Evidence, samples: str) -> int:
    """Return how many images a measurement on ``all`` samples or on ``successes`` has to account for."""
    if isinstance(evidence, MapEvidence):
        return int(evidence.success.sum()) if samples == "successes" else len(evidence.success)
    return len(evidence.targets if isinstance(evidence, PredictionEvidence) else evidence.images)
