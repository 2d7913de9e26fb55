"""Turns a plan into the batches of an epoch: order, augmentation, stamp."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from falsewitness.attacks import Batch, Plan
from falsewitness.core import seed_for
from falsewitness.data import PixelStore
from falsewitness.training._augmentation import Augmentation, Variation, draw_variation
from falsewitness.triggers import Stamp


def steps_per_pass(units: int, batch_size: int) -> int:
    """Return the number of batches that a plan's units are spread over.

    Args:
        units: Of the plan.
        batch_size: Units a batch, at most.
    """
    return math.ceil(units / batch_size)


@dataclass(frozen=True)
class Batches:
    """The batches of a training, the same for the same seed whenever an epoch is begun.

    Attributes:
        store: The training images, on the device.
        plan: Which are stamped, and how they are laid out.
        stamp: The trigger; None where nothing is stamped.
        stamp_order: Whether the trigger is laid over the augmented image or augmented with it.
        target_class: What stamped images are labelled with; None where they keep their label.
        augmentation: How images are varied.
        batch_size: Units a step.
        seed: The experiment's seed; order and augmentation have seeds of their own derived from it.
    """

    store: PixelStore
    plan: Plan
    stamp: Stamp | None
    stamp_order: Literal["after_augmentation", "stored"]
    target_class: int | None
    augmentation: Augmentation
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in a pass; units are spread evenly over them."""
        return steps_per_pass(len(self.plan), self.batch_size)

    def epoch(self, number: int, *, share: tuple[int, int] = (0, 1)) -> Iterator[Batch]:
        """Yield the batches of one pass over the plan.

        Args:
            number: Of the epoch, from 0.
            share: ``(rank, world size)``: which part of every batch this process gets.
        """
        rank, world = share
        device = self.store.device
        order = torch.randperm(len(self.plan), generator=self._generator("order", number))
        variation = draw_variation(self.augmentation, len(self.plan), self._generator("augment", number))
        images = torch.from_numpy(self.plan.images)
        clean, stamped = torch.from_numpy(self.plan.clean), torch.from_numpy(self.plan.stamped)
        for step, units in enumerate(order.tensor_split(self.steps_per_epoch), number * self.steps_per_epoch):
            units = units[rank::world]
            rows = torch.cat([units[clean[units]], units[stamped[units]]])
            clean_count = int(clean[units].sum())
            batch = self._batch(images[rows].to(device), clean_count, variation.select(rows).to(device))
            yield replace(batch, number=step)

    def _batch(self, samples: Int[Tensor, " rows"], clean_count: int, variation: Variation) -> Batch:
        raw = self.store.take(samples)
        augmented = variation(raw)
        targets = self.store.targets.select(samples)
        unstamped = augmented[clean_count:]
        if self.stamp is None or len(unstamped) == 0:
            return Batch(augmented, targets, samples, variation.mirrored, unstamped)
        if self.stamp_order == "stored":
            stamped = variation.select(slice(clean_count, None))(self.stamp(raw[clean_count:]))
        else:
            stamped = self.stamp(unstamped)
        if self.target_class is not None:
            positions = torch.arange(len(samples), device=samples.device)
            poisoned = targets.select(positions[clean_count:]).relabelled(self.target_class)
            targets = targets.select(positions[:clean_count]).joined(poisoned)
        images = torch.cat([augmented[:clean_count], stamped])
        return Batch(images, targets, samples, variation.mirrored, unstamped)

    def _generator(self, role: str, epoch: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed_for(self.seed, f"{role}/{epoch}"))
