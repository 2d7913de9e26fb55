"""Grad-CAM: the feature map, weighted by what the class score gains from each channel."""

from contextlib import nullcontext
from typing import ClassVar, Literal

import torch

from falsewitness.core.explanation import Explanation
from falsewitness.core.precision import at_least_single, precise_second_order
from falsewitness.core.shapes import Classes, Features, Images, Logits, Maps
from falsewitness.explainers._base import Explainer, Subject
from falsewitness.explainers._scores import chosen_classes, scores_of
from falsewitness.models import LinearHead


class GradCam(Explainer):
    """Gradient-weighted class activation map (Selvaraju et al. 2017, equations 1 and 2).

    The map is ``relu(sum_k alpha_k A_k)``: ``A`` the layer's output, ``alpha_k`` the class logit's gradient by channel
    ``k``, averaged over positions. With average pooling and one linear layer on top, ``alpha_k`` is that layer's weight
    over the number of positions: no backward pass is needed (section 3.1 there).
    """

    kind: Literal["gradcam"] = "gradcam"

    layer: str | None = None
    """The layer whose output is weighted, a name from the network's named_modules(); null for the last feature map."""

    source: ClassVar[str] = "Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2"
    surrogate: ClassVar[bool] = True

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        model = subject.model
        head = model.linear_head if self.layer is None else None
        with torch.set_grad_enabled(differentiable or head is None):
            # Audited weights may be frozen: then the graph has to begin at the pixels.
            seen = images if differentiable or head is not None else images.detach().requires_grad_()
            with precise_second_order(seen) if differentiable and head is None else nullcontext():
                logits, features = model.with_activation(seen, self.layer)
            classes = chosen_classes(logits, classes)
            if head is not None:
                return Explanation(logits, closed_form(features, head, classes))
            return Explanation(logits, by_gradient(features, logits, classes, differentiable=differentiable))


def closed_form(features: Features, head: LinearHead, classes: Classes) -> Maps:
    """Return Grad-CAM at the last feature map of a model whose head is average pooling and one linear layer."""
    with torch.autocast(features.device.type, enabled=False):
        features = at_least_single(features)
        weights = head.weight[classes].to(features.dtype) / (features.shape[2] * features.shape[3])
        return torch.einsum("bc,bchw->bhw", weights, features).relu()


def by_gradient(features: Features, logits: Logits, classes: Classes, *, differentiable: bool) -> Maps:
    """Return Grad-CAM at any feature map from which the logits were computed."""
    (gradient,) = torch.autograd.grad(
        scores_of(logits, classes).sum(), features, create_graph=differentiable, retain_graph=differentiable
    )
    weights = at_least_single(gradient).mean((2, 3), keepdim=True)
    return (weights * at_least_single(features)).sum(1).relu()
