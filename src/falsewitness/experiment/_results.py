"""The result file: status, what the run was, what it cost, and every measurement."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from falsewitness.core import Component
from falsewitness.core.files import read_json
from falsewitness.core.values import SCHEMA_VERSION
from falsewitness.experiment._labels import labelled
from falsewitness.experiment._recipes import read_spec
from falsewitness.experiment._run_folder import RunFolder, write_json
from falsewitness.experiment._spec import Role, Spec, readable_again
from falsewitness.experiment._workplace import Workplace
from falsewitness.metrics import Measurement
from falsewitness.training import Augmentation, Training

if TYPE_CHECKING:
    from falsewitness.experiment._train import Trained


@dataclass(frozen=True)
class Finding:
    """A measurement with who made it.

    Attributes:
        metric: The metric's kind.
        auditor: The auditor's label; None for what needs no maps.
        measurement: The number.
    """

    metric: str
    auditor: str | None
    measurement: Measurement

    def plain(self) -> dict[str, Any]:
        """Return the finding as one flat mapping; the numbers of the images are kept elsewhere."""
        figures = {name: figure for name, figure in vars(self.measurement).items() if name != "values"}
        return {"metric": self.metric, "auditor": self.auditor, **figures}


def finished_result(
    work: Workplace,
    models: Mapping[Role, Trained],
    role: Role,
    into: RunFolder,
    digest: str,
    findings: Iterable[Finding],
    seconds: float,
) -> dict[str, Any]:
    """Describe a finished run, as its result file has it.

    Args:
        work: The experiment.
        models: The model that was examined and those that it was compared with.
        role: The one that was examined.
        into: Where the result goes: parents are named as seen from there.
        digest: Of all that decides the figures.
        findings: The figures.
        seconds: What the examination took.
    """
    others = {name: trained.folder.path for name, trained in models.items() if name != role}
    parents = {name: os.path.relpath(path, into.path) for name, path in others.items()}
    cost = read_json(models[role].folder.cost) | {"evaluation_seconds": seconds}
    file = models[role].given_as
    described = _described(work, role, "done", "", _command(work, models[role], into))
    return described | {
        "name": described["name"] if file is None else f"{described['name']}, model {file.name}",
        "train_digest": models[role].digest,
        "eval_digest": digest,
        "parents": parents if role == "attack" else {},
        "cost": cost,
        "measurements": [finding.plain() for finding in findings],
    }


def write_diverged(work: Workplace, role: Role, folder: RunFolder, reason: str) -> None:
    """Write the result of a run whose training diverged, with the reason; its digests tell what came to no figures."""
    command = _told_to_a_shell(work, "run", folder.spec, "--out", work.out)
    bound_to = {"train_digest": work.digest(role), "eval_digest": work.eval_digest(role)}
    described = _described(work, role, "diverged", reason, command)
    write_json(folder.result, described | bound_to | {"measurements": []})


def _command(work: Workplace, trained: Trained, into: RunFolder) -> str:
    if trained.given_as is not None:
        further = _auditors_from_elsewhere(work.spec)
        return _told_to_a_shell(work, "evaluate", trained.given_as, "--recipe", into.spec, "--out", work.out, *further)
    if into != trained.folder:
        return _told_to_a_shell(work, "evaluate", trained.folder.path, *_options(work.spec, trained.folder))
    return _told_to_a_shell(work, "run", trained.folder.spec, "--out", work.out)


def _told_to_a_shell(work: Workplace, *words: str | Path) -> str:
    """Return a command with the device, which another machine may not choose by itself."""
    return shlex.join(["falsewitness", *map(str, words), "--device", str(work.device)])


def _options(spec: Spec, run: RunFolder) -> Iterator[str]:
    """Yield the words that turn what is measured of a run into what a spec says."""
    before = read_spec(run.spec)
    own, kept = len(before.auditors), readable_again(spec)
    if spec.auditors[:own] == before.auditors:
        for auditor in kept.auditors[own:]:
            yield from ("--auditor", json.dumps(_told(auditor)))
    else:
        yield from ("--set", f"auditors={json.dumps([_told(auditor) for auditor in kept.auditors])}")
    yield from _auditors_from_elsewhere(spec)
    if spec.metrics != before.metrics:
        yield from ("--set", f"metrics={json.dumps([_told(metric) for metric in spec.metrics])}")
    if spec.evaluation != before.evaluation:
        yield from ("--set", f"evaluation={json.dumps(spec.evaluation.plain())}")


def _auditors_from_elsewhere(spec: Spec) -> Iterator[str]:
    """Yield the words for auditors that a spec in a file cannot name."""
    kept = readable_again(spec).auditors
    for auditor in spec.auditors:
        if auditor not in kept:
            yield from ("--auditor", f"{type(auditor).__module__}:{type(auditor).__qualname__}")


def _told(component: Component) -> dict[str, Any]:
    """Return a component by its kind and what is not by default."""
    return {"kind": component.kind_name(), **component.model_dump(mode="json", exclude_defaults=True)}


def _described(work: Workplace, role: Role, status: str, reason: str, command: str) -> dict[str, Any]:
    spec, dataset = work.spec, work.dataset
    return {
        "schema_version": SCHEMA_VERSION,
        "status": status,
        "reason": reason,
        "role": role,
        "name": spec.name if role == "attack" or spec.attack is None else role,
        "seed": spec.seed,
        "command": command,
        "attack": _attack(work) if role == "attack" else None,
        "data": {
            "kind": spec.data.kind,
            "fingerprint": dataset.fingerprint,
            "channels": dataset.info.channels,
            "height": dataset.info.height,
            "width": dataset.info.width,
            "class_names": list(dataset.info.class_names),
            "train": len(dataset.train),
            "validation": len(dataset.validation),
            "test": len(dataset.test),
        },
    }


def _attack(work: Workplace) -> dict[str, Any] | None:
    attack = work.spec.attack
    if attack is None:
        return None
    target = attack.intended.target_class
    surrogate, labels = attack.surrogate_explainer, labelled(work.spec.auditors)
    judging = {auditor.as_auditor(): label for label, auditor in labels.items()}
    return {
        "kind": attack.kind,
        "threat_model": attack.needed_control(augmented=_augments(work.spec.attack_training)).value,
        "target_class": None if target is None else work.dataset.info.class_names[target],
        "poison_rate": attack.poison.rate,
        "mode": attack.poison.mode,
        "poisons": len(work.poison_plan.poisons),
        "surrogate": None if surrogate is None else surrogate.kind,
        "surrogate_auditor": None if surrogate is None else judging.get(surrogate.as_auditor()),
    }


def _augments(training: Training | None) -> bool:
    return training is not None and training.augmentation != Augmentation()
