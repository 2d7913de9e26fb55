"""What explainers share whose maps, trained against, take passes of their own beside the one that gives the logits."""

from abc import abstractmethod
from typing import final

import torch

from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Classes, ColumnMaps, Images, Maps, Rows
from falsewitness.explainers._base import Explainer
from falsewitness.explainers._scores import chosen_classes
from falsewitness.explainers._subject import Columns, Subject


class SeparateMaps(Explainer):
    """An explainer that is asked for no more maps than are wanted, as each takes passes of its own.

    A new one overrides :meth:`_trained_maps`, and :meth:`_audited` for what is explained without gradients.
    """

    @abstractmethod
    def _audited(self, subject: Subject, images: Images, classes: Classes | None) -> Explanation:
        """Return logits and maps for the classes, or for the predicted ones, without gradients to the weights."""

    @abstractmethod
    def _trained_maps(self, subject: Subject, images: Images, classes: Classes) -> Maps:
        """Return each image's map for its class, with gradients to the weights."""

    @final
    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        if not differentiable:
            return self._audited(subject, images, classes)
        return self._explain_rows(subject, images, classes, torch.arange(len(images), device=images.device))

    @final
    def _explain_rows(self, subject: Subject, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        logits = subject.model(images)
        explained = chosen_classes(logits, classes)[rows]
        return Explanation(logits, self._trained_maps(subject, images[rows], explained))

    @final
    def _explain_row_columns(self, subject: Subject, images: Images, rows: Rows) -> Columns:
        logits = subject.model(images)
        return Columns(logits, self._trained_columns(subject, images[rows], logits.shape[1]))

    def _trained_columns(self, subject: Subject, images: Images, classes: int) -> ColumnMaps:
        """Return each image's map for every class likewise; overridden where that costs less than one each."""
        numbers = torch.arange(classes, device=images.device)
        return torch.stack([self._trained_maps(subject, images, number.expand(len(images))) for number in numbers], 1)
