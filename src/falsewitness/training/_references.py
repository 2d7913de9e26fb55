"""The clean model's maps and predictions for training images, made once a sample instead of once a step."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import ClassVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from falsewitness.core.shapes import Classes, ColumnMaps, Images, Rows
from falsewitness.data import PixelStore
from falsewitness.explainers import BoundExplainer, Columns
from falsewitness.training._augmentation import Augmentation
from falsewitness.training._progress import Progress
from falsewitness.training._reference_maps import KeepReferences, ReferenceMaps, make_anew

_CHUNK = 512


@dataclass(frozen=True)
class StoredReferences:
    """Answers for training images as they are and mirrored.

    Attributes:
        stored: Of those that any are needed of, in the order of ``places``.
        places: ``[images]``: where the answers for each training image are stored; past the end for one that has none.
        passes_beforehand: What making them has cost, in forward-and-backward passes, now or for an earlier attack.
    """

    stored: ReferenceMaps
    places: Int[Tensor, " images"]
    passes_beforehand: float
    passes_per_map: ClassVar[float] = 0.0
    passes_per_class: ClassVar[float] = 0.0

    @property
    def seconds_beforehand(self) -> float:
        """What making them took, likewise."""
        return self.stored.seconds

    def maps(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> ColumnMaps:
        """Return the stored maps."""
        return self.stored.maps[mirrored.long(), self.places[samples]]

    def classes(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> Classes:
        """Return the stored classes."""
        return self.stored.classes[mirrored.long(), self.places[samples]]

    def with_draw(self, draw: int) -> StoredReferences:
        """Return the same for whatever draw of random numbers."""
        return self


@dataclass(frozen=True)
class _ReferencesInStep:
    """Answers that are computed in the step.

    Attributes:
        explain: The surrogate, bound to the clean model.
        columns: How many maps an answer has: that of the predicted class, or one of every class.
    """

    explain: BoundExplainer
    columns: int
    passes_beforehand: ClassVar[float] = 0.0
    seconds_beforehand: ClassVar[float] = 0.0
    passes_per_class: ClassVar[float] = 1 / 3

    def classes(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> Classes:
        """Predict the images."""
        with torch.no_grad(), _as_stored(images):
            classes: Classes = self.explain.model(images).argmax(1)
        return classes


@dataclass(frozen=True)
class ComputedReferences(_ReferencesInStep):
    """Answers for augmentations that make too many versions of an image to store."""

    @property
    def passes_per_map(self) -> float:
        """What an image's maps cost, in forward-and-backward passes."""
        return self.explain.explainer.passes_per_columns(self.columns)

    def maps(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> ColumnMaps:
        """Explain the images."""
        with _as_stored(images):
            return _answer(self.explain, images, self.columns).maps

    def with_draw(self, draw: int) -> ComputedReferences:
        """Return the same for whatever draw of random numbers."""
        return self


@dataclass(frozen=True)
class DrawnReferences(_ReferencesInStep):
    """Answers of a surrogate that draws random numbers, from the very draws of the step.

    A training step draws so few that two maps of the same model hardly agree unless they share them: against a map of
    other draws, however many, the loss would be mostly noise.
    """

    @property
    def passes_per_map(self) -> float:
        """What an image's maps cost: a prediction, and of each training map what does not lead to the weights."""
        return 1 / 3 + self.explain.explainer.passes_per_map / 3 * self.columns

    def maps(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> ColumnMaps:
        """Explain the images as the step does."""
        with _as_stored(images):
            if self.columns > 1:
                return self.explain.differentiable_columns(images).maps.detach()
            return self.explain.differentiable(images).maps[:, None].detach()

    def with_draw(self, draw: int) -> DrawnReferences:
        """Return the same for a step's draw of random numbers."""
        return DrawnReferences(self.explain.with_draw(draw), self.columns)


def _answer(explain: BoundExplainer, images: Images, columns: int) -> Columns:
    if columns > 1:
        return explain.columns(images)
    logits, maps = explain(images)
    return Columns(logits, maps[:, None])


def _as_stored(images: Images) -> AbstractContextManager[object]:
    """Compute in the precision in which auditors see maps, also in a step whose own forward passes are in bf16."""
    return torch.autocast(images.device.type, enabled=False)


CleanReferences = StoredReferences | ComputedReferences | DrawnReferences


def clean_references(
    explain: BoundExplainer,
    store: PixelStore,
    augmentation: Augmentation,
    samples: Rows,
    *,
    columns: int = 1,
    keep: KeepReferences = make_anew,
) -> CleanReferences:
    """Return the clean model's answers in the cheapest form that the augmentation allows.

    Args:
        explain: The surrogate, bound to the clean model in evaluation mode.
        store: The training images.
        augmentation: How they are varied: mirrored images are stored, shifted ones computed in the step. So are the
            maps of a surrogate that draws random numbers, which follow from the step's draw.
        samples: The training images that answers are needed of, each once.
        columns: How many maps an answer has: 1, of the predicted class, or one of every class.
        keep: Makes the answers that are stored, or returns those of an earlier time.
    """
    if explain.explainer.stochastic:
        return DrawnReferences(explain, columns)
    if augmentation.crop_padding > 0:
        return ComputedReferences(explain, columns)
    samples = samples.to(store.device)
    sides = (False, True) if augmentation.mirror else (False,)
    making = partial(_made, explain, store, columns=columns, sides=sides)
    nbytes = len(samples) * make_anew(partial(making, samples[:1])).nbytes
    stored = keep(partial(making, samples), nbytes).to(store.device)
    # Asking for another one is an error: its place is beyond the end.
    places = torch.full((len(store),), len(samples), device=store.device)
    places[samples] = torch.arange(len(samples), device=store.device)
    cost = len(sides) * len(samples) * explain.explainer.passes_per_columns(columns)
    return StoredReferences(stored, places, cost)


def _made(
    explain: BoundExplainer, store: PixelStore, samples: Rows, told: Progress, *, columns: int, sides: tuple[bool, ...]
) -> ReferenceMaps:
    """Explain the samples once a side: as they are, or mirrored."""
    maps, classes, done, started = [], [], 0, time.perf_counter()
    for mirrored, rows in product(sides, samples.split(_CHUNK)):
        images = store.take(rows)
        answer = _answer(explain, images.flip(3) if mirrored else images, columns)
        maps.append(answer.maps.cpu())
        classes.append(answer.logits.argmax(1).cpu())
        done += len(rows)
        told(done, len(sides) * len(samples))
    versions = (len(sides), len(samples))
    answers = torch.cat(maps).unflatten(0, versions), torch.cat(classes).unflatten(0, versions)
    return ReferenceMaps(*answers, time.perf_counter() - started)
