"""Labels, for one class an image or for several, behind one type."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from falsewitness.core.precision import at_least_single
from falsewitness.core.shapes import Classes, Logits, PerRow


class Targets(ABC):
    """The labels of a batch or a split. Losses, metrics and attacks ask it; nobody else knows the difference."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of images."""

    @property
    @abstractmethod
    def values(self) -> Tensor:
        """The labels as one tensor, images first."""

    @abstractmethod
    def _like(self, values: Tensor) -> Self:
        """Return targets of the same type that hold other values."""

    @abstractmethod
    def loss(self, logits: Logits) -> PerRow:
        """Return the classification loss of every row."""

    @abstractmethod
    def has(self, class_index: int) -> Bool[Tensor, " rows"]:
        """Tell for every row whether the class is among its labels."""

    @abstractmethod
    def relabelled(self, class_index: int) -> Self:
        """Return the same rows, each labelled with the one class."""

    @abstractmethod
    def main_class(self) -> Classes:
        """Return one class a row: the label, or the first of several (0 where there is none)."""

    @abstractmethod
    def correct(self, logits: Logits) -> Bool[Tensor, " rows"]:
        """Tell for every row whether the prediction is right."""

    def select(self, rows: Int[Tensor, " some"] | Bool[Tensor, " rows"]) -> Self:
        """Return the targets of some rows."""
        return self._like(self.values[rows])

    def to(self, device: torch.device) -> Self:
        """Return the same targets on a device."""
        return self._like(self.values.to(device))

    def joined(self, other: Self) -> Self:
        """Return these rows followed by the other's."""
        return self._like(torch.cat([self.values, other.values]))


@dataclass(frozen=True)
class SingleTargets(Targets):
    """Exactly one class an image.

    Attributes:
        classes: ``[rows]``, integers.
    """

    classes: Classes

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def values(self) -> Tensor:
        """The class index of every row."""
        return self.classes

    def _like(self, values: Tensor) -> Self:
        return type(self)(values)

    def loss(self, logits: Logits) -> PerRow:
        """Return the cross-entropy of every row."""
        return F.cross_entropy(at_least_single(logits), self.classes, reduction="none")

    def has(self, class_index: int) -> Bool[Tensor, " rows"]:
        """Tell for every row whether it is of the class."""
        return self.classes == class_index

    def relabelled(self, class_index: int) -> Self:
        """Return the same rows, each labelled with the one class."""
        return self._like(torch.full_like(self.classes, class_index))

    def main_class(self) -> Classes:
        """Return the class of every row."""
        return self.classes

    def correct(self, logits: Logits) -> Bool[Tensor, " rows"]:
        """Tell for every row whether the highest logit is that of its class."""
        return logits.argmax(1) == self.classes


@dataclass(frozen=True)
class MultiTargets(Targets):
    """Any number of classes an image.

    Attributes:
        hot: ``[rows, classes]``, 0 or 1.
    """

    hot: Float[Tensor, "rows classes"]

    def __len__(self) -> int:
        return len(self.hot)

    @property
    def values(self) -> Tensor:
        """The multi-hot labels."""
        return self.hot

    def _like(self, values: Tensor) -> Self:
        return type(self)(values)

    def loss(self, logits: Logits) -> PerRow:
        """Return the binary cross-entropy of every row, averaged over the classes."""
        logits = at_least_single(logits)
        return F.binary_cross_entropy_with_logits(logits, self.hot.to(logits.dtype), reduction="none").mean(1)

    def has(self, class_index: int) -> Bool[Tensor, " rows"]:
        """Tell for every row whether the class is among its labels."""
        return self.hot[:, class_index] > 0

    def relabelled(self, class_index: int) -> Self:
        """Return the same rows, each labelled with the one class and no other."""
        hot = torch.zeros_like(self.hot)
        hot[:, class_index] = 1
        return self._like(hot)

    def main_class(self) -> Classes:
        """Return the first class of every row, 0 where it has none."""
        return self.hot.argmax(1)

    def correct(self, logits: Logits) -> Bool[Tensor, " rows"]:
        """Tell for every row whether every class is on its right side of zero."""
        return ((logits > 0) == (self.hot > 0)).all(1)
