"""Examines trained models: predictions, maps by every auditor, metrics, and what the gallery shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from numpy.typing import NDArray

from falsewitness.attacks import Attack
from falsewitness.core import seed_for
from falsewitness.core.files import read_text, write_text
from falsewitness.experiment._gallery import Gallery
from falsewitness.experiment._labels import labelled
from falsewitness.experiment._map_evidence import MapSamples, auditor_maps, map_evidence
from falsewitness.experiment._one_line import told_in_one_line
from falsewitness.experiment._predict import Answers, predicted
from falsewitness.experiment._results import Finding, finished_result
from falsewitness.experiment._run_folder import RunFolder, write_arrays, write_json
from falsewitness.experiment._samples import attackable, expect_attackable, stratified
from falsewitness.experiment._spec import Role, readable_again
from falsewitness.experiment._train import Trained
from falsewitness.experiment._values import values_of
from falsewitness.experiment._workplace import Workplace
from falsewitness.metrics import (
    MapMetric,
    Metric,
    PredictionEvidence,
    PredictionMetric,
    StampEvidence,
    StampMetric,
)
from falsewitness.training import Progress
from falsewitness.triggers import Stamp

M = TypeVar("M", bound=Metric)


@dataclass(frozen=True)
class Examined:
    """What came of an examination.

    Attributes:
        findings: Every measurement.
        values: The arrays of ``values.npz``.
        maps: The arrays of ``maps.npz``; none where no attack is examined.
        gallery: Those of ``gallery.npz``, likewise.
    """

    findings: Sequence[Finding]
    values: Mapping[str, NDArray[Any]]
    maps: Mapping[str, NDArray[Any]]
    gallery: Mapping[str, NDArray[Any]]


def evaluate(work: Workplace, models: dict[Role, Trained], role: Role, into: RunFolder, trained_in: RunFolder) -> None:
    """Examine one of an experiment's models and write the result, unless it is there already.

    An earlier result, of other auditors or metrics, stays until the new one is complete.

    Args:
        work: The experiment.
        models: The one to examine and those that it is compared with, trained; the control may be absent.
        role: The one to examine.
        into: Where the result goes: the model's own run folder, or another.
        trained_in: The run folder whose training the report shows beside the result; curves and machine are copied.
    """
    digest = work.eval_digest(role, {name: trained.known_as for name, trained in models.items()})
    with into.locked(work.reporter.notice):
        if into.is_done("evaluate", digest):
            return
        if into.result.is_file():
            work.reporter.notice(f"'{into.path}': measured anew; the result that is there is replaced")
        started = time.perf_counter()
        examined = _examined(work, models, role)
        with into.rewriting("evaluate", digest, [into.environment, into.steps]) as aside:
            # The model may have been trained earlier, for other auditors and metrics.
            write_text(aside.spec, readable_again(work.spec_of(role)).to_yaml())
            if into != trained_in:
                for file in (trained_in.environment, trained_in.steps):
                    write_text(aside.path / file.name, read_text(file))
            write_arrays(aside.values, examined.values)
            if role == "attack":
                write_arrays(aside.maps, examined.maps)
                write_arrays(aside.gallery, examined.gallery)
            seconds = time.perf_counter() - started
            result = finished_result(work, models, role, into, digest, examined.findings, seconds)
            write_json(aside.result, result)


def _examined(work: Workplace, models: dict[Role, Trained], role: Role) -> Examined:
    attack = work.spec.attack if role == "attack" else None
    stamp = None if attack is None else attack.trigger.bind(work.dataset.info, work.device)
    answers = _answers(work, models, role, stamp)
    prediction = _prediction_evidence(work, answers, role, attack)
    findings = [
        Finding(metric.kind, None, found)
        for metric in _of_kind(PredictionMetric, work.spec.metrics)
        for found in metric.measure(prediction)
    ]
    if attack is None or stamp is None:
        return Examined(findings, values_of(findings, work.dataset.test), {}, {})
    return _examined_attack(work, models, answers, attack, stamp, findings)


def _answers(work: Workplace, models: dict[Role, Trained], role: Role, stamp: Stamp | None) -> Answers:
    """Predict the test images: without the trigger, and with it but for the control, which is for clean images."""
    triggered = [] if stamp is None else [name for name in models if name != "control"]
    asked = [*((name, None) for name in models), *((name, stamp) for name in triggered)]
    store, logits = work.test_store, []
    with work.reporter.progress(f"testing {role} model") as progress:
        for number, (name, trigger) in enumerate(asked):
            told = _counting_on(progress, number * len(store), len(asked) * len(store))
            logits.append(predicted(models[name].model, store, trigger, told=told).cpu())
    return Answers(dict(zip(models, logits, strict=False)), dict(zip(triggered, logits[len(models) :], strict=True)))


def _counting_on(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """Return what counts the images of a part on from those before it."""
    return lambda done: progress(before + done, total)


def _prediction_evidence(work: Workplace, answers: Answers, role: Role, attack: Attack | None) -> PredictionEvidence:
    return PredictionEvidence(
        targets=work.test_store.targets.to(torch.device("cpu")),
        class_names=work.dataset.info.class_names,
        target_class=None if attack is None else attack.intended.target_class,
        attacked_clean=answers.clean[role],
        attacked_triggered=answers.triggered.get(role),
        clean_model_clean=answers.clean["clean"],
        clean_model_triggered=answers.triggered.get("clean"),
        control_clean=answers.clean.get("control") if role == "attack" else None,
        seed=work.spec.seed,
    )


def _examined_attack(
    work: Workplace,
    models: dict[Role, Trained],
    answers: Answers,
    attack: Attack,
    stamp: Stamp,
    of_predictions: Sequence[Finding],
) -> Examined:
    targets = work.test_store.targets.to(torch.device("cpu"))
    target_class = attack.intended.target_class
    allowed = attackable(targets, target_class)
    expect_attackable(targets, target_class)
    seed = seed_for(work.spec.data.split_seed, "map samples")
    samples = stratified(targets, allowed, work.spec.evaluation.map_samples, seed)
    wanted = targets if target_class is None else targets.relabelled(target_class)
    success = wanted.correct(answers.triggered["attack"])
    rows = torch.from_numpy(samples)
    images = work.test_store.take(rows.to(work.device))
    explained = MapSamples(rows, images.cpu(), success[rows])
    stamped = StampEvidence(explained.images, stamp(images).cpu(), work.spec.seed)
    of_stamp = [
        Finding(metric.kind, None, found)
        for metric in _of_kind(StampMetric, work.spec.metrics)
        for found in metric.measure(stamped)
    ]
    findings = [*of_predictions, *of_stamp]
    gallery = Gallery.begun(work, answers, success.numpy(), allowed, stamp)
    kept: dict[str, NDArray[Any]] = {"samples": samples}
    for label, auditor in labelled(work.spec.auditors).items():
        with told_in_one_line(f"auditor '{label}'"):
            bound = {
                "clean": work.bound(auditor, models["clean"].model),
                "attacked": work.bound(auditor, models["attack"].model),
            }
            maps = auditor_maps(work, label, bound, rows, stamp)
        kept |= {f"{label}/{name}": value.numpy() for name, value in vars(maps).items()}
        evidence = map_evidence(work, attack, bound["attacked"], maps, explained, answers, stamp)
        findings += [
            Finding(metric.kind, label, found)
            for metric in _of_kind(MapMetric, work.spec.metrics)
            for found in metric.measure(evidence)
        ]
        with told_in_one_line(f"auditor '{label}'"):
            gallery = gallery.with_auditor(label, bound, evidence.target_map)
    values = {"samples": samples, **values_of(findings, work.dataset.test)}
    return Examined(findings, values, kept, gallery.arrays)


def _of_kind(kind: type[M], metrics: Iterable[Metric]) -> Iterator[M]:
    return (metric for metric in metrics if isinstance(metric, kind))
