"""What the benchmarks compute: models, batches, attacks, and a step of training as the training loop makes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from _measure import peak_memory_mb
from torch import nn

from falsewitness.attacks import ATTACKS, Attack, Batch, Losses, plain_losses
from falsewitness.core import DataInfo
from falsewitness.core.targets import SingleTargets
from falsewitness.data import PixelStore, Split
from falsewitness.models import MODELS, Classifier
from falsewitness.training import Training, autocast
from falsewitness.training._descent import Descent
from falsewitness.training._loop import _set_training_mode
from falsewitness.training._memory import keep_freed_memory

BatchNorm = Literal["batch", "frozen"]
Precision = Literal["fp32", "bf16"]

INFO = DataInfo(3, 32, 32, tuple(str(number) for number in range(10)))
HALF = 64
"""Clean images in a batch, and stamped ones: the same images with the trigger."""
USUAL = Training(epochs=1)
"""What moves the weights where nothing else is said."""


def classifier(kind: str, device: torch.device, batch_norm: BatchNorm = "batch") -> Classifier:
    """Return an untrained network in training mode whose batch norm knows its inputs.

    Without that its activations grow from block to block, and softplus is slow where exponentials vanish.
    """
    model = MODELS.get(kind).parse({"kind": kind}, "model").bind(INFO, seed=0, std=(0.25,))
    model.to(device).to(memory_format=torch.channels_last).train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None  # the running statistics become the average of what passes
        for _ in range(3):
            model(batch(device).images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    _set_training_mode(model, batch_norm)
    return model


def batch(device: torch.device) -> Batch:
    """Return noise: half of the rows clean, half stamped."""
    generator = torch.Generator().manual_seed(0)
    plain = torch.rand(HALF, 3, 32, 32, generator=generator)
    stamped = plain.clone()
    stamped[:, :, -5:-1, -5:-1] = 1
    labels = torch.randint(0, 10, (HALF,), generator=generator)
    return Batch(
        images=torch.cat([plain, stamped]).to(device),
        targets=SingleTargets(torch.cat([labels, torch.full_like(labels, 3)]).to(device)),
        samples=torch.arange(HALF, device=device).repeat(2),
        mirrored=torch.zeros(2 * HALF, dtype=torch.bool, device=device),
        unstamped=plain.to(device),
    )


def noise_store(count: int, device: torch.device) -> PixelStore:
    """Return so many images of noise on the device."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    labels = torch.from_numpy(generator.integers(0, 10, count))
    return PixelStore(Split(pixels, SingleTargets(labels), np.arange(count)), device)


def attack(kind: str, **fields: object) -> Attack:
    """Return an attack with the trigger and the share of poisons that all have here."""
    common = {"kind": kind, "trigger": {"kind": "patch"}, "poison": {"rate": 0.5, "mode": "paired"}}
    return ATTACKS.get(kind).parse(common | fields, kind)


@dataclass(frozen=True)
class Step:
    """One step of training: forward, backward, descent.

    Attributes:
        model: What is trained.
        losses: The step's loss.
        precision: Of forward passes.
        descent: Taken at a rate of zero, so that the last step computes on what the first one did.
    """

    model: Classifier
    losses: Callable[[], Losses]
    precision: Precision
    descent: Descent

    @staticmethod
    def of(model: Classifier, losses: Callable[[], Losses], precision: Precision, settings: Training = USUAL) -> Step:
        """Return the step of a model, a loss and a precision."""
        return Step(model, losses, precision, Descent(model, settings))

    @staticmethod
    def plain(model: Classifier, rows: Batch, precision: Precision, settings: Training = USUAL) -> Step:
        """Return the step on cross-entropy alone."""
        return Step.of(model, lambda: plain_losses(rows, model), precision, settings)

    def __call__(self) -> None:
        """Make the step."""
        with autocast(self.precision, self.model.mean.device):
            found = self.losses()
        total = torch.stack([term.weight * term.rows.mean() for term in found.terms]).sum()
        self.descent.zero_grad()
        total.backward()
        self.descent.step(0.0)

    def added_mb(self) -> float:
        """Return how many MB two steps add to this process's peak, or the device's."""
        device = self.model.mean.device
        before = peak_memory_mb(device)
        self()
        self()
        return peak_memory_mb(device) - before


def mb_of_plain_steps(kind: str, precision: Precision, device: torch.device, settings: Training = USUAL) -> float:
    """Return how many MB plain steps add to a process that has built the model; to be called in a fresh one."""
    if device.type == "cpu":
        keep_freed_memory()  # as a training does
    return Step.plain(classifier(kind, device), batch(device), precision, settings).added_mb()
