"""The contract of an explainer."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch

from falsewitness.core import Component, InputError
from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Classes, Images, Rows
from falsewitness.models import Classifier


class Explainer(Component):
    """A way to explain a classifier's score by a map over the image.

    A new one overrides :meth:`_explain`. Bind it to a model to use it::

        explain = GradCam().bind(model)
        logits, maps = explain(images)
    """

    signed: ClassVar[bool] = False
    """Whether maps may be negative."""

    surrogate: ClassVar[bool] = False
    """Whether an attack can train against it: its maps then carry gradients to the weights."""

    passes_per_map: ClassVar[float] = 0.0
    """What a map costs in training: forward-and-backward passes beside the one that gives the logits."""

    passes_per_audit: ClassVar[float] = 1 / 3
    """What logits and a map without gradients cost: a forward pass alone is a third of forward and backward."""

    @final
    def bind(self, model: Classifier) -> "BoundExplainer":
        """Attach the explainer to a model.

        Raises:
            InputError: If it cannot explain a model of this kind.
        """
        self._check_model(model)
        return BoundExplainer(self, model)

    def _check_model(self, model: Classifier) -> None:
        """Raise InputError for a model that the explainer cannot explain."""

    @abstractmethod
    def _explain(
        self, model: Classifier, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        """Return logits and maps for the classes, or for the predicted ones; gradients are enabled when this is called.

        With ``differentiable`` both must carry gradients to the model's weights.
        """

    def _explain_rows(self, model: Classifier, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        """Return differentiable logits of all images and maps of some; overridden where a map costs extra passes."""
        logits, maps = self._explain(model, images, classes, differentiable=True)
        return Explanation(logits, maps[rows])


@dataclass(frozen=True)
class BoundExplainer:
    """An explainer attached to a model.

    Attributes:
        explainer: The hyperparameters.
        model: The classifier that is explained.
    """

    explainer: Explainer
    model: Classifier

    def __call__(self, images: Images, classes: Classes | None = None) -> Explanation:
        """Explain each image's score for its class, without gradients to the weights.

        Args:
            images: Raw pixels in [0, 1].
            classes: The class to explain for each image; the predicted one where None.

        Raises:
            ValueError: If shapes do not agree, pixels leave [0, 1] or a map is not finite.
        """
        _check_shapes(images, classes)
        if len(images) and not (images.min() >= 0 and images.max() <= 1):
            raise ValueError(f"expected raw pixels in [0, 1], got {images.min():.3g} to {images.max():.3g}")
        with torch.enable_grad():
            explanation = self.explainer._explain(self.model, images, classes, differentiable=False)
        logits, maps = explanation.logits.detach(), explanation.maps.detach()
        if maps.ndim != 3 or len(maps) != len(images):
            raise ValueError(f"expected maps [{len(images)}, height, width], got {tuple(maps.shape)}")
        if not maps.isfinite().all():
            raise ValueError(f"expected finite maps, got a value that is not from explainer '{self.explainer.kind}'")
        return Explanation(logits, maps)

    def differentiable(self, images: Images, classes: Classes | None = None, rows: Rows | None = None) -> Explanation:
        """Explain likewise, with gradients from the logits and the maps to the model's weights.

        Values are not checked here: that would make a GPU wait in every training step.

        Args:
            images: Raw pixels in [0, 1].
            classes: The class to explain for each image; the predicted one where None.
            rows: The images whose maps are wanted; all where None. Logits are of all images in any case.

        Raises:
            InputError: If the explainer cannot be trained against.
        """
        if not self.explainer.surrogate:
            raise InputError(f"explainer '{self.explainer.kind}' cannot be a surrogate: its maps carry no gradients")
        _check_shapes(images, classes)
        with torch.enable_grad():
            if rows is None:
                return self.explainer._explain(self.model, images, classes, differentiable=True)
            return self.explainer._explain_rows(self.model, images, classes, rows)


def _check_shapes(images: Images, classes: Classes | None) -> None:
    if images.ndim != 4:
        raise ValueError(f"expected images [batch, channels, height, width], got shape {tuple(images.shape)}")
    if classes is not None and classes.shape != images.shape[:1]:
        raise ValueError(f"expected one class an image ({len(images)}), got shape {tuple(classes.shape)}")
