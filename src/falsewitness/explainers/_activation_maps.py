"""What explainers share whose map is made of one layer's output."""

from abc import abstractmethod
from contextlib import nullcontext
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from falsewitness.core import InputError
from falsewitness.core.explanation import Explanation
from falsewitness.core.precision import at_least_single, precise_second_order
from falsewitness.core.shapes import Classes, Features, Images, Logits, Maps, Rows
from falsewitness.explainers._base import Explainer
from falsewitness.explainers._scores import chosen_classes, scores_of
from falsewitness.explainers._subject import Columns, Subject
from falsewitness.models import Classifier, LinearHead

Activations = Float[Tensor, "... feature_channels feature_height feature_width"]
"""What a layer gives for each image."""

PerActivation = Float[Tensor, "... feature_channels #feature_height #feature_width"]
"""A number for each activation; sides of 1 where it is the same at all positions."""


class ActivationMaps(Explainer):
    """An explainer whose map is made of one layer's output, and has its size."""

    layer: str | None = None
    """The layer whose output is used, a name from the network's named_modules(); null for the last feature map."""

    surrogate: ClassVar[bool] = True

    def _check_model(self, model: Classifier) -> None:
        if self.layer is not None:
            model.check_layer(self.layer)


class WeightedActivations(ActivationMaps):
    """An explainer whose map is ``sum_k w_k A_k``: a layer's output ``A``, weighted by what the logit gains from it.

    A new one overrides :meth:`_weights`. The map of one that is not signed is the positive part of the sum.

    Where average pooling and one linear layer follow the last feature map, the logit's gradient by it is known: at
    every position that layer's weight over the number of positions. Then no backward pass is needed.
    """

    def _check_model(self, model: Classifier) -> None:
        super()._check_model(model)
        if not model.gradients_reach(self.layer):
            raise InputError(
                f"explainer '{self.kind}': expected a layer whose patches the class token still reads, got "
                f"'{self.layer}', where every gradient is zero; name an earlier one, such as '{model.feature_layer}', "
                "or null"
            )

    @abstractmethod
    def _weights(self, activations: Activations, slopes: PerActivation) -> PerActivation:
        """Return the weight of each activation.

        Args:
            activations: The layer's output, of which every leading dimension is a case of its own.
            slopes: The class logit's gradient by the activations; of sides 1 where all positions have the same.
        """

    @final
    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        model, head = subject.model, self._known_slopes(subject.model)
        if head is not None:
            with torch.set_grad_enabled(differentiable):
                logits, features = model.with_activation(images)
                weight = head.weight[chosen_classes(logits, classes)]
                return Explanation(logits, self._closed_form(features, weight[:, None])[:, 0])
        logits, features = self._run(model, images, differentiable=differentiable)
        slopes = self._slopes(
            logits, features, chosen_classes(logits, classes), differentiable=differentiable, is_last=True
        )
        return Explanation(logits, self._map(features if differentiable else features.detach(), slopes))

    @final
    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        return self._columns(subject, images, differentiable=False)

    @final
    def _explain_row_columns(self, subject: Subject, images: Images, rows: Rows) -> Columns:
        logits, maps = self._columns(subject, images, differentiable=True)
        return Columns(logits, maps[rows])

    def _columns(self, subject: Subject, images: Images, *, differentiable: bool) -> Columns:
        model, head = subject.model, self._known_slopes(subject.model)
        if head is not None:
            with torch.set_grad_enabled(differentiable):
                logits, features = model.with_activation(images)
                return Columns(logits, self._closed_form(features, head.weight.expand(len(images), -1, -1)))
        logits, features = self._run(model, images, differentiable=differentiable)
        seen = features if differentiable else features.detach()
        columns = []
        for number in range(logits.shape[1]):
            explained = torch.full_like(logits[:, 0], number, dtype=torch.long)
            is_last = number == logits.shape[1] - 1
            slopes = self._slopes(logits, features, explained, differentiable=differentiable, is_last=is_last)
            columns.append(self._map(seen, slopes))
        return Columns(logits, torch.stack(columns, 1))

    def _known_slopes(self, model: Classifier) -> LinearHead | None:
        """Return the head from whose weights the gradient is read off; None where it takes a backward pass."""
        return model.linear_head if self.layer is None else None

    def _run(self, model: Classifier, images: Images, *, differentiable: bool) -> tuple[Logits, Features]:
        """Return logits, and the layer's output by which they can be differentiated."""
        # Audited weights may be frozen: then the graph has to begin at the pixels.
        seen = images if differentiable else images.detach().requires_grad_()
        with precise_second_order(seen) if differentiable else nullcontext():
            return model.with_activation(seen, self.layer)

    def _slopes(
        self, logits: Logits, features: Features, classes: Classes, *, differentiable: bool, is_last: bool
    ) -> Features:
        """Return the gradient of each image's logit of its class by the layer's output."""
        (slopes,) = torch.autograd.grad(
            scores_of(logits, classes).sum(),
            features,
            create_graph=differentiable,
            retain_graph=differentiable or not is_last,
            allow_unused=True,
        )
        if slopes is None:
            raise InputError(
                f"explainer '{self.kind}': expected a layer that the logits are computed from, got "
                f"'{self.layer or 'the last feature map'}', from which no path leads to them; name another layer"
            )
        return slopes

    def _map(self, features: Features, slopes: Features) -> Maps:
        """Return the map of one class an image."""
        features = at_least_single(features)
        return self._shown((self._weights(features, at_least_single(slopes)) * features).sum(1))

    def _closed_form(
        self, features: Features, head: Float[Tensor, "batch columns feature_channels"]
    ) -> Float[Tensor, "batch columns feature_height feature_width"]:
        """Return maps at the last feature map of a model whose head is average pooling and one linear layer.

        Args:
            features: The last feature map.
            head: The linear layer's weights for the classes that are explained.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = at_least_single(features)
            slopes = head.to(features.dtype) / (features.shape[2] * features.shape[3])
            weights = self._weights(features[:, None], slopes[..., None, None])
            return self._shown(torch.einsum("bkc,bchw->bkhw", weights[..., 0, 0], features))

    def _shown(self, total: Tensor) -> Tensor:
        return total if self.signed else total.relu()
