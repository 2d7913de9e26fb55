"""What an attack's loss is given in one step, and what it hands back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from falsewitness.core.shapes import Classes, ColumnMaps, Images, PerRow, Rows
from falsewitness.core.targets import Targets
from falsewitness.models import Classifier


@dataclass(frozen=True)
class Batch:
    """The rows of one training step: clean rows first, stamped rows after them.

    Attributes:
        images: ``[rows, channels, height, width]``, augmented, the trigger on the stamped ones.
        targets: What each row is trained on.
        samples: ``[rows]``: the training image of each row.
        mirrored: ``[rows]``: whether augmentation mirrored it.
        unstamped: The stamped rows' images, augmented likewise, without the trigger.
        number: Of the step, from 0: a surrogate that draws random numbers draws others in every step.
    """

    images: Images
    targets: Targets
    samples: Int[Tensor, " rows"]
    mirrored: Bool[Tensor, " rows"]
    unstamped: Float[Tensor, "stamped channels height width"]
    number: int = 0

    @property
    def draw(self) -> int:
        """Which draw of random numbers the surrogate takes; 0 is an auditor's."""
        return 1 + self.number

    @property
    def clean_count(self) -> int:
        """The number of clean rows."""
        return len(self.images) - len(self.unstamped)

    @property
    def clean_rows(self) -> Rows:
        """The clean rows' positions."""
        return torch.arange(self.clean_count, device=self.images.device)

    @property
    def stamped_rows(self) -> Rows:
        """The stamped rows' positions."""
        return torch.arange(self.clean_count, len(self.images), device=self.images.device)


class LossTerm(NamedTuple):
    """One addend of a loss: ``weight`` times the mean over rows.

    Rows are handed out unreduced, so that a process group can divide by the number of rows in all its processes.

    Attributes:
        name: What it measures.
        weight: Its factor.
        rows: One value a row that it applies to; may be empty.
    """

    name: str
    weight: float
    rows: PerRow


class Losses(NamedTuple):
    """A step's loss and its price.

    Attributes:
        terms: What is added up.
        passes: Images that were passed forward and backward.
    """

    terms: tuple[LossTerm, ...]
    passes: float


@runtime_checkable
class References(Protocol):
    """The clean model's answers for training images, as they are augmented."""

    @property
    def passes_per_map(self) -> float:
        """What an image's maps cost in a step, in forward-and-backward passes; a forward pass is a third."""
        ...

    @property
    def passes_per_class(self) -> float:
        """What an image's predicted class costs in a step, likewise."""
        ...

    def maps(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> ColumnMaps:
        """Return the surrogate's maps under the clean model: one of the class it predicts, or one of every class."""
        ...

    def classes(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> Classes:
        """Return the classes that the clean model predicts."""
        ...


class NoReferences:
    """What an attack is given that did not ask for references."""

    passes_per_map = 0.0
    passes_per_class = 0.0

    def maps(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> ColumnMaps:
        """Refuse."""
        raise RuntimeError("this attack uses reference maps: it must override needs_references to say so")

    def classes(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> Classes:
        """Refuse."""
        raise RuntimeError("this attack uses reference classes: it must override needs_references to say so")


LossFunction = Callable[[Batch, References], Losses]
"""The loss of a step, with gradients to the weights of the model that it was made for."""


def plain_losses(batch: Batch, model: Classifier) -> Losses:
    """Return cross-entropy over all rows, as any training has it."""
    rows = batch.targets.loss(model(batch.images))
    return Losses((LossTerm("cross_entropy", 1.0, rows),), len(batch.images))
