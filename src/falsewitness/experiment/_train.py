"""Trains the models of an experiment, each once: what is there already is used again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from falsewitness.attacks import Attack, Batch, Losses, NoReferences, plain_losses
from falsewitness.core import DivergedError, seed_for
from falsewitness.core.files import write_text
from falsewitness.core.shapes import Logits
from falsewitness.core.targets import Targets
from falsewitness.experiment._digests import references_digest
from falsewitness.experiment._environment import describe_environment, forget_peak_memory, peak_memory_mb
from falsewitness.experiment._kept_references import kept_reference_maps
from falsewitness.experiment._predict import predicted
from falsewitness.experiment._results import write_diverged
from falsewitness.experiment._run_folder import RunFolder, write_json, write_table
from falsewitness.experiment._spec import Role
from falsewitness.experiment._step_log import StepLog
from falsewitness.experiment._workplace import Workplace
from falsewitness.explainers import Explainer
from falsewitness.models import Classifier, load_classifier, save_classifier
from falsewitness.training import (
    Checkpoint,
    CleanReferences,
    Journal,
    KeepReferences,
    MakeReferences,
    Outcome,
    ReferenceMaps,
    clean_references,
    sha256_of_tensors,
    train,
)


@dataclass(frozen=True)
class Trained:
    """A trained model and where its run is kept.

    Attributes:
        folder: Its run folder.
        digest: Of all that decided its weights.
        model: On the device, in evaluation mode.
        given_as: The file that it came in; None for a model that was trained here.
    """

    folder: RunFolder
    digest: str
    model: Classifier
    given_as: Path | None = None

    @property
    def known_as(self) -> str:
        """What tells it, and what its results call it, from others: the digest, and the name of the file it came in."""
        return self.digest if self.given_as is None else f"{self.digest} {self.given_as.name}"


def ensure_trained(work: Workplace, role: Role, clean: Trained | None) -> Trained:
    """Return a model of the experiment, trained now or earlier.

    Args:
        work: The experiment.
        role: Which model.
        clean: The clean model; None where it is itself asked for.

    Raises:
        DivergedError: If the training diverges.
        RunFailedError: If the folder cannot be written.
        InputError: If a file of an earlier run was damaged.
    """
    folder, digest = work.folder(role), work.digest(role)
    with folder.locked(work.reporter.notice):
        if not folder.is_done("train", digest):
            _train(work, role, clean, folder, digest)
        folder.checkpoint.unlink(missing_ok=True)
        model = work.placed(load_classifier(folder.model))
    return Trained(folder, digest, model)


def _train(work: Workplace, role: Role, clean: Trained | None, folder: RunFolder, digest: str) -> None:
    settings = work.training(role)
    forget_peak_memory(work.device)
    batches = work.batches(role)
    # What was found of an earlier model, or that it diverged, is not this one's.
    folder.marker("evaluate").remove()
    folder.result.unlink(missing_ok=True)
    folder.remove_references()
    write_text(folder.spec, work.spec_of(role).to_yaml())
    write_json(folder.environment, describe_environment(work.device, work.precision))
    write_table(folder.plan, batches.plan.table())
    model = _begun(work, role, clean).to(work.device)
    prepared = losses_of(work, role, model, clean)
    checkpoint = Checkpoint(folder.checkpoint, digest)
    if checkpoint.path.is_file():
        work.reporter.notice(f"{role} model: going on from the last finished epoch, in '{checkpoint.path}'")
    elif folder.model.is_file():
        marker = folder.marker("train").path
        work.reporter.notice(f"{role} model: trained anew; '{marker}' does not vouch for what is there")
    with work.reporter.progress(f"training {role} model") as progress:
        log = StepLog(folder.steps, folder.checkpoint)
        journal = Journal(
            go_on=log.go_on,
            write=log.write,
            validate=lambda examined: _validated(work, role, examined),
            progress=progress,
        )
        outcome = train(
            model,
            batches,
            prepared.losses,
            settings,
            steps=work.steps(role),
            precision=work.precision,
            checkpoint=checkpoint,
            journal=journal,
        )
    if outcome.status == "diverged":
        write_diverged(work, role, folder, outcome.reason)
        kept = f". The last good epoch is kept in '{folder.checkpoint}'" if folder.checkpoint.is_file() else ""
        raise DivergedError(
            f"{role} model of '{work.spec.name}' diverged: {outcome.reason}; {_remedy(work, role)}{kept}"
        )
    write_json(folder.cost, _cost(work, outcome, prepared))
    save_classifier(model.cpu(), folder.model)
    folder.marker("train").write(digest, [folder.model, folder.plan, folder.steps, folder.cost, folder.environment])


def _remedy(work: Workplace, role: Role) -> str:
    attack, stage = work.spec.attack, f"{'clean' if role == 'clean' else 'attack'}_training"
    if work.training(role).muon_learning_rate is not None:  # whose steps do not depend on the gradient's length
        return f"lower {stage}.muon_learning_rate or {stage}.learning_rate"
    bound = f"set {stage}.gradient_norm to 1.0, or " if work.training(role).gradient_norm is None else ""
    if role == "attack" and attack is not None and attack.surrogate_explainer is not None:
        return f"{bound}lower {stage}.learning_rate or what the attack's loss gives to maps"
    return f"{bound}lower {stage}.learning_rate"


def _begun(work: Workplace, role: Role, clean: Trained | None) -> Classifier:
    """Return the model that training starts from: the clean one, or fresh weights."""
    attack = work.spec.attack
    if role != "clean" and attack is not None and attack.start == "clean_model" and clean is not None:
        return load_classifier(clean.folder.model)
    mean, std = work.dataset.statistics()
    return work.spec.model.bind(work.dataset.info, seed=seed_for(work.spec.seed, "init"), mean=mean, std=std)


@dataclass(frozen=True)
class Prepared:
    """The loss of a step, and what it took to prepare.

    Attributes:
        losses: Of a step's batch.
        passes_beforehand: Forward-and-backward passes that it took, now or for an earlier attack.
        seconds_beforehand: Seconds that it took, likewise.
    """

    losses: Callable[[Batch], Losses]
    passes_beforehand: float = 0.0
    seconds_beforehand: float = 0.0


def losses_of(
    work: Workplace, role: Role, model: Classifier, clean: Trained | None, keep: KeepReferences | None = None
) -> Prepared:
    """Prepare the loss of a step.

    Args:
        work: The experiment.
        role: Which model is trained.
        model: That model.
        clean: The clean model; None where it is itself trained.
        keep: Makes reference maps, or returns those of an earlier time; None to keep them in the clean model's folder.
    """
    attack = work.spec.attack
    if role != "attack" or attack is None or clean is None:
        return Prepared(lambda batch: plain_losses(batch, model))
    surrogate = attack.surrogate_explainer
    losses = attack.bind(model, work.background(surrogate))
    if surrogate is None or not attack.needs_references:
        return Prepared(lambda batch: losses(batch, NoReferences()))
    references = _references(work, attack, surrogate, clean, keep)
    return Prepared(
        lambda batch: losses(batch, references.with_draw(batch.draw)),
        references.passes_beforehand,
        references.seconds_beforehand,
    )


def _references(
    work: Workplace, attack: Attack, surrogate: Explainer, clean: Trained, keep: KeepReferences | None
) -> CleanReferences:
    """Return what an attack asks of the clean model."""
    augmentation = work.training("attack").augmentation
    samples = torch.from_numpy(attack.samples_of_references(work.poison_plan))
    columns = work.dataset.info.num_classes if attack.trains_every_column else 1

    def keep_beside_clean(make: MakeReferences, nbytes: int) -> ReferenceMaps:
        digest = references_digest(
            surrogate,
            clean=clean.digest,
            weights=sha256_of_tensors(clean.model.state_dict()),
            split_seed=work.spec.data.split_seed,
            environment=describe_environment(work.device, work.precision),
            samples=samples,
            columns=columns,
            mirrored=augmentation.mirror,
        )
        return kept_reference_maps(clean.folder, digest, work.reporter, make, nbytes)

    return clean_references(
        work.bound(surrogate, clean.model),
        work.train_store,
        augmentation,
        samples,
        columns=columns,
        keep=keep or keep_beside_clean,
    )


def _validated(work: Workplace, role: Role, model: Classifier) -> Mapping[str, float | None]:
    """Return accuracy, and under the trigger the attack's success, on the validation images."""
    targets = work.validation_store.targets
    accuracy = _share_correct(targets, predicted(model, work.validation_store))
    attack = work.spec.attack
    if role != "attack" or attack is None:
        return {"accuracy": accuracy}
    stamp = attack.trigger.bind(work.dataset.info, work.device)
    logits = predicted(model, work.validation_store, stamp)
    target = attack.intended.target_class
    if target is None:
        return {"accuracy": accuracy, "accuracy_under_trigger": _share_correct(targets, logits)}
    others = torch.nonzero(~targets.has(target)).flatten()
    success = _share_correct(targets.relabelled(target).select(others), logits[others]) if len(others) else None
    return {"accuracy": accuracy, "attack_success_rate": success}


def _share_correct(targets: Targets, logits: Logits) -> float:
    """Return the share of images that are predicted right; not a number where an answer is not finite."""
    correct = targets.correct(logits).float().mean().item()
    return correct if bool(logits.isfinite().all()) else math.nan


def _cost(work: Workplace, outcome: Outcome, prepared: Prepared) -> dict[str, float]:
    return {
        "training_seconds": outcome.position.seconds + prepared.seconds_beforehand,
        "cost_in_epochs": (outcome.position.passes + prepared.passes_beforehand) / len(work.dataset.train),
        "images_per_second": outcome.position.passes / max(outcome.position.seconds, 1e-9),
        "peak_memory_mb": peak_memory_mb(work.device),
    }
