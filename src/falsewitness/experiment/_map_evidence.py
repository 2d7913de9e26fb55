"""One auditor's maps of the test images that are explained, and what metrics are told about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from falsewitness.attacks import Attack, draw_target_map
from falsewitness.core import InputError, seed_for
from falsewitness.core.shapes import Images, Logits, Maps, PerRow, Rows
from falsewitness.experiment._predict import Answers
from falsewitness.experiment._samples import attackable, stratified
from falsewitness.experiment._workplace import Workplace
from falsewitness.explainers import BoundExplainer
from falsewitness.metrics import MapEvidence, MapMetric
from falsewitness.triggers import Stamp

_CHUNK = 250

_PASSES_BETWEEN_REPORTS = 25_000
"""How many passes of an image through the model go by without a report of progress, roughly."""


@dataclass(frozen=True)
class MapSamples:
    """The test images that are explained.

    Attributes:
        rows: Which they are.
        images: Without the trigger, on the CPU.
        success: Whether the attack did to the prediction what it intends.
    """

    rows: Rows
    images: Images
    success: Bool[Tensor, " samples"]


@dataclass(frozen=True)
class AuditorMaps:
    """One auditor's maps of the map samples, for the class each model predicts.

    Attributes:
        attacked_triggered: The attacked model on triggered images.
        attacked_clean: The attacked model on clean images.
        clean_model_clean: The clean model on clean images.
        clean_model_triggered: The clean model on triggered images.
        validation_triggered: The attacked model on triggered validation images.
        validation_clean: The attacked model on the same without trigger.
        clean_model_validation_triggered: The clean model on triggered validation images.
        clean_model_validation_clean: The clean model on the same without trigger.
    """

    attacked_triggered: Maps
    attacked_clean: Maps
    clean_model_clean: Maps
    clean_model_triggered: Maps
    validation_triggered: Maps
    validation_clean: Maps
    clean_model_validation_triggered: Maps
    clean_model_validation_clean: Maps


def auditor_maps(
    work: Workplace, label: str, bound: Mapping[str, BoundExplainer], rows: Rows, stamp: Stamp
) -> AuditorMaps:
    """Explain the images that metrics compare.

    Args:
        work: The experiment.
        label: What the auditor is called.
        bound: It, attached to the ``clean`` and to the ``attacked`` model.
        rows: The test images.
        stamp: The trigger.
    """
    clean, attacked = bound["clean"], bound["attacked"]
    test, validation = work.test_store, work.validation_store
    held_out = _detector_rows(work)
    jobs = {
        "attacked_triggered": (attacked, test, stamp, rows),
        "attacked_clean": (attacked, test, None, rows),
        "clean_model_clean": (clean, test, None, rows),
        "clean_model_triggered": (clean, test, stamp, rows),
        "validation_triggered": (attacked, validation, stamp, held_out),
        "validation_clean": (attacked, validation, None, held_out),
        "clean_model_validation_triggered": (clean, validation, stamp, held_out),
        "clean_model_validation_clean": (clean, validation, None, held_out),
    }
    # Of an explainer that takes long for an image, few at a time, so that progress is seen.
    at_once = max(1, min(_CHUNK, int(_PASSES_BETWEEN_REPORTS / max(1.0, attacked.explainer.passes_per_audit))))
    total, done = sum(len(wanted) for _, _, _, wanted in jobs.values()), 0
    found: dict[str, list[Maps]] = {name: [] for name in jobs}
    with work.reporter.progress(f"auditing with {label}") as progress:
        for name, (explain, store, stamped, wanted) in jobs.items():
            for chunk in wanted.to(store.device).split(at_once) if len(wanted) else ():
                images = store.take(chunk)
                found[name].append(explain(images if stamped is None else stamped(images)).maps.cpu())
                done += len(chunk)
                progress(done, total)
    none = found["attacked_clean"][0][:0]
    return AuditorMaps(**{name: torch.cat([none, *parts]) for name, parts in found.items()})


def _detector_rows(work: Workplace) -> Rows:
    """Return the validation images whose maps a detector learns from; none where no metric looks at them."""
    if not any(isinstance(metric, MapMetric) and metric.needs_validation_maps for metric in work.spec.metrics):
        return torch.zeros(0, dtype=torch.int64)
    targets = work.validation_store.targets
    target_class = None if work.spec.attack is None else work.spec.attack.intended.target_class
    seed = seed_for(work.spec.data.split_seed, "detector samples")
    allowed = attackable(targets, target_class)
    return torch.from_numpy(stratified(targets, allowed, work.spec.evaluation.detector_samples, seed))


def map_evidence(
    work: Workplace,
    attack: Attack,
    attacked: BoundExplainer,
    maps: AuditorMaps,
    samples: MapSamples,
    answers: Answers,
    stamp: Stamp,
) -> MapEvidence:
    """Return what metrics are told about an auditor's maps.

    Args:
        work: The experiment.
        attack: What is examined.
        attacked: The auditor, attached to the attacked model.
        maps: Its maps of the samples.
        samples: What is explained.
        answers: All models'.
        stamp: The trigger.
    """
    shape, rows = attack.intended.target_map, samples.rows
    return MapEvidence(
        images=samples.images,
        classes=work.test_store.targets.main_class().cpu()[rows],
        class_names=work.dataset.info.class_names,
        predicted=answers.clean["clean"].argmax(1)[rows],
        success=samples.success,
        target_map=None if shape is None else draw_target_map(shape, *maps.attacked_clean.shape[1:]),
        mask=stamp.mask.cpu(),
        signed=attacked.explainer.signed,
        gains=_gains(attacked, maps.attacked_triggered, answers.triggered["attack"][rows]),
        seed=work.spec.seed,
        **vars(maps),
    )


@torch.no_grad()
def _gains(attacked: BoundExplainer, maps: Maps, answers: Logits) -> PerRow | None:
    """Return each image's highest score less the mean of that class's over the auditor's background set."""
    auditor, background = attacked.explainer, attacked.background
    if not auditor.adds_up or background is None:
        return None
    if tuple(maps.shape[1:]) != background.shape[2:]:
        raise InputError(
            f"auditor '{auditor.kind}': expected maps of the image's size, whose values add up as its class variable "
            f"adds_up says, got {tuple(maps.shape[1:])}; mend its class"
        )
    usual = torch.cat([attacked.model(chunk) for chunk in background.split(_CHUNK)]).mean(0).cpu()
    highest = answers.max(1)
    return highest.values - usual[highest.indices]
