"""The one training loop: for clean models, for controls and for every attack."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from falsewitness.attacks import Batch, Losses, LossTerm
from falsewitness.core import seed_for
from falsewitness.models import Classifier
from falsewitness.training._batches import Batches
from falsewitness.training._checkpoint import Checkpoint, Position
from falsewitness.training._descent import Descent
from falsewitness.training._memory import keep_freed_memory
from falsewitness.training._precision import autocast
from falsewitness.training._progress import Progress
from falsewitness.training._settings import Training


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        status: ``done``, or ``diverged``: the loss, the weights or the model's answers were not finite, and the last
            good checkpoint is kept.
        reason: Where and how it diverged; empty when done.
        position: How far it came and what it cost.
    """

    status: Literal["done", "diverged"]
    reason: str
    position: Position


@dataclass(frozen=True)
class Journal:
    """Where a training reports to.

    Attributes:
        go_on: Told, before the first step, of the records that the checkpoint vouches for, in the words of ``write``;
            of none by an empty text. Later ones are to be dropped.
        write: Takes the records of an epoch, one a step, then one with what ``validate`` found; returns a text that
            tells of all records so far.
        validate: Called after every epoch on the model in evaluation mode. A figure that is not finite says that the
            model's answers are not; None stands for one that is undefined.
        progress: Told of every step.
    """

    go_on: Callable[[str], None]
    write: Callable[[Iterable[Mapping[str, Any]]], str]
    validate: Callable[[Classifier], Mapping[str, float | None]]
    progress: Progress


def train(
    model: Classifier,
    batches: Batches,
    losses: Callable[[Batch], Losses],
    settings: Training,
    *,
    steps: int,
    precision: Literal["fp32", "bf16"],
    checkpoint: Checkpoint,
    journal: Journal,
) -> Outcome:
    """Train a model in place, from its checkpoint where there is one.

    Under a process group every process takes its share of each batch, and gradients are averaged over them; batch norm
    sees the own share.

    Args:
        model: On the device; left in evaluation mode.
        batches: What an epoch consists of.
        losses: The loss of one batch under the model.
        settings: Schedule, optimiser, batch norm.
        steps: How many steps to train; more than an epoch's begin another.
        precision: Of forward passes.
        checkpoint: Saved after every epoch.
        journal: Where to report to.

    Raises:
        InputError: If the checkpoint is damaged or does not fit.
        RunFailedError: If it cannot be written.
    """
    model.to(memory_format=torch.channels_last)
    work = _Work(model, batches, losses, settings, Descent(model, settings), steps, precision)
    position = checkpoint.load(model, work.descent)
    if _share()[0] == 0:
        journal.go_on(position.journal)
    if batches.store.device.type == "cpu":
        keep_freed_memory()
    while position.step < steps:
        try:
            epoch = _epoch_of(work, position, journal.progress)
            validation = _validation_after(work, position, epoch, journal.validate)
        except _NotFiniteError as error:
            return Outcome("diverged", str(error), position)
        reached = Position(
            position.epoch + 1,
            position.step + len(epoch.records),
            position.seconds + epoch.seconds,
            position.passes + float(_over_processes(torch.tensor(epoch.passes, device=batches.store.device))),
        )
        if _share()[0] == 0:
            lines = [record.plain() for record in epoch.records]
            held = journal.write([*lines, {"epoch": position.epoch, "validation": validation}])
            reached = replace(reached, journal=held)
            checkpoint.save(reached, model, work.descent)
        position = reached
    model.eval()
    return Outcome("done", "", position)


@dataclass(frozen=True)
class _Work:
    """What all epochs of a training have in common; see :func:`train`."""

    model: Classifier
    batches: Batches
    losses: Callable[[Batch], Losses]
    settings: Training
    descent: Descent
    steps: int
    precision: Literal["fp32", "bf16"]


@dataclass(frozen=True)
class _Epoch:
    """What came of an epoch's steps.

    Attributes:
        records: One a step.
        seconds: What they took.
        passes: What they cost, as :attr:`Losses.passes` has it.
    """

    records: Sequence[_StepRecord]
    seconds: float
    passes: float


class _NotFiniteError(Exception):
    """A training left the finite numbers; says where."""


def _epoch_of(work: _Work, position: Position, progress: Progress) -> _Epoch:
    """Train for an epoch, or for what is left of the steps.

    Raises:
        _NotFiniteError: If a loss is not finite.
    """
    started = time.perf_counter()
    torch.manual_seed(seed_for(work.batches.seed, f"dropout/{position.epoch}"))
    _set_training_mode(work.model, work.settings.batch_norm)
    records: list[_StepRecord] = []
    passes = 0.0
    for batch in work.batches.epoch(position.epoch, share=_share()):
        step = position.step + len(records)
        if step >= work.steps:
            break
        share = one_cycle(step, work.steps, work.settings.warmup)
        with autocast(work.precision, work.batches.store.device):
            found = work.losses(batch)
        total, means = _summed(found.terms)
        loss = float(_over_processes(total.detach().clone()))
        if not math.isfinite(loss):
            raise _NotFiniteError(f"the loss was {loss} at step {step} of {work.steps} (epoch {position.epoch})")
        _descend(work.model, work.descent, total, share)
        passes += found.passes
        records.append(_StepRecord(position.epoch, step, work.settings.learning_rate * share, loss, means))
        progress(step + 1, work.steps)
    return _Epoch(records, time.perf_counter() - started, passes)


def _validation_after(
    work: _Work,
    position: Position,
    epoch: _Epoch,
    validate: Callable[[Classifier], Mapping[str, float | None]],
) -> Mapping[str, float | None]:
    """Return what is measured of the model after an epoch; leaves it in evaluation mode.

    Raises:
        _NotFiniteError: If its weights or its answers are not finite.
    """
    work.model.eval()
    validation = validate(work.model) if _is_finite(work.model) else None
    if validation is None or not all(value is None or math.isfinite(value) for value in validation.values()):
        what = "weights" if validation is None else "answers to validation images"
        last = position.step + len(epoch.records) - 1
        raise _NotFiniteError(f"the {what} were not finite after step {last} of {work.steps} (epoch {position.epoch})")
    return validation


def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Return the learning rate of a step as a share of its peak (Smith and Topin 2018, with cosines).

    Args:
        step: From 0.
        steps: In all.
        warmup: The share of the steps on which the rate climbs, from 1/25 of the peak.
    """
    climbing = warmup * steps
    if step < climbing:
        return _cosine(1 / 25, 1, step / climbing)
    return _cosine(1, 1e-4, (step - climbing) / max(1, steps - climbing))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@dataclass(frozen=True)
class _StepRecord:
    """A step's figures; the terms' means stay on the device until the epoch is written."""

    epoch: int
    step: int
    rate: float
    loss: float
    means: Mapping[str, Tensor]

    def plain(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss,
            "terms": {name: float(mean) for name, mean in self.means.items()},
            "learning_rate": self.rate,
        }


def _set_training_mode(model: nn.Module, batch_norm: Literal["batch", "frozen"]) -> None:
    model.train()
    if batch_norm == "frozen":
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def _summed(terms: Sequence[LossTerm]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss, and each term's mean over the rows of all processes; a term without rows counts nothing."""
    counts = torch.tensor([float(len(term.rows)) for term in terms], device=terms[0].rows.device)
    counts = _over_processes(counts).clamp_min(1)
    means = torch.stack([term.rows.sum() / count for term, count in zip(terms, counts, strict=True)])
    total = torch.stack([term.weight * mean for term, mean in zip(terms, means, strict=True)]).sum()
    of_all = _over_processes(means.detach().clone())
    return total, {term.name: mean for term, mean in zip(terms, of_all, strict=True)}


def _descend(model: nn.Module, descent: Descent, total: Tensor, share: float) -> None:
    descent.zero_grad()
    total.backward()
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad = _over_processes(parameter.grad)
    descent.step(share)


def _is_finite(model: nn.Module) -> bool:
    wrong = [~tensor.isfinite().all() for tensor in model.state_dict().values()]
    return float(_over_processes(torch.stack(wrong).sum().float())) == 0


def _share() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def _over_processes(tensor: Tensor) -> Tensor:
    """Return the sum over all processes of a group; the tensor itself without one."""
    if dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor
