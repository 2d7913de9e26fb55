"""What explainers share that are made of relevance, handed back from layer to layer."""

from abc import abstractmethod
from typing import ClassVar, final

import torch

from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Classes, ColumnMaps, Images, Maps
from falsewitness.explainers._relevance import Rules, Run, check_rules, run
from falsewitness.explainers._relevance_trace import traced
from falsewitness.explainers._scores import chosen_classes
from falsewitness.explainers._separate_maps import SeparateMaps
from falsewitness.explainers._subject import Access, Columns, Subject
from falsewitness.models import Classifier


class RelevanceMaps(SeparateMaps):
    """An explainer whose map is made of relevance.

    A new one overrides :meth:`_rules` and :meth:`_map`. Relevance is that of the model as an auditor runs it, with
    running statistics in batch norm and without dropout. Rules are computed with differentiable operations only, so an
    attack trains against the very map that an auditor sees, not that of a smooth twin.
    """

    signed: ClassVar[bool] = True
    surrogate: ClassVar[bool] = True
    access: ClassVar[Access] = "layers"
    explains: ClassVar[str] = (
        "networks of convolutions, linear layers, ReLU, batch norm after a convolution, pooling and sums of branches"
    )

    @abstractmethod
    def _rules(self, model: Classifier) -> Rules:
        """Return which rule each layer follows."""

    @abstractmethod
    def _map(self, model: Classifier, done: Run, classes: Classes) -> Maps:
        """Return each image's map for its class, with gradients where they are enabled.

        Args:
            model: What is explained.
            done: What its layers gave.
            classes: One an image.
        """

    def _check_model(self, model: Classifier) -> None:
        check_rules(traced(model, self.kind), self._rules(model), self.kind)

    @final
    def _audited(self, subject: Subject, images: Images, classes: Classes | None) -> Explanation:
        with torch.no_grad():
            done = run(subject.model, images, self.kind)
            return Explanation(done.logits, self._map(subject.model, done, chosen_classes(done.logits, classes)))

    @final
    def _trained_maps(self, subject: Subject, images: Images, classes: Classes) -> Maps:
        return self._map(subject.model, run(subject.model, images, self.kind), classes)

    @final
    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        with torch.no_grad():
            done = run(subject.model, images, self.kind)
            return Columns(done.logits, self._map_of_every_class(subject.model, done))

    @final
    def _trained_columns(self, subject: Subject, images: Images, classes: int) -> ColumnMaps:
        return self._map_of_every_class(subject.model, run(subject.model, images, self.kind))

    def _map_of_every_class(self, model: Classifier, done: Run) -> ColumnMaps:
        images, classes = done.logits.shape
        numbers = torch.arange(classes, device=done.logits.device)
        return torch.stack([self._map(model, done, number.expand(images)) for number in numbers], 1)
