"""The input gradient with every negative contribution cut off on its way back."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from falsewitness.core import InputError
from falsewitness.core.explanation import Explanation
from falsewitness.core.precision import at_least_single, precise_second_order
from falsewitness.core.shapes import Classes, Images, Logits, Maps
from falsewitness.explainers._scores import chosen_classes, scores_of
from falsewitness.explainers._separate_maps import SeparateMaps
from falsewitness.explainers._subject import Subject
from falsewitness.models import ACTIVATIONS, Classifier, Forward, activations_replaced, as_audited, folded


class GuidedBackprop(SeparateMaps):
    """The input gradient, where ReLUs pass back nothing negative (Springenberg et al. 2015, section 3.4).

    The map is the absolute value of what arrives at the pixels, summed over the colour channels. It shows edges, and
    hardly depends on the class or on the upper layers' weights (Adebayo et al. 2018): a poor witness, though a popular
    one. An attack trains against it by differentiating twice, with running statistics in batch norm.
    """

    kind: Literal["guided_backprop"] = "guided_backprop"

    source: ClassVar[str] = "Springenberg et al., Striving for simplicity, ICLR workshop 2015, section 3.4"
    surrogate: ClassVar[bool] = True
    explains: ClassVar[str] = "networks whose activations are all ReLU modules"

    @property
    def passes_per_map(self) -> float:
        """What a map costs in training."""
        return 3.0

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map without gradients cost."""
        return 2 / 3

    def _check_model(self, model: Classifier) -> None:
        activations = {name: module for name, module in model.network.named_modules() if _is_activation(module)}
        if not any(isinstance(module, nn.ReLU) for module in activations.values()):
            raise InputError("explainer 'guided_backprop': expected a network with ReLU modules, got one without")
        for name, module in activations.items():
            if not isinstance(module, nn.ReLU):
                raise InputError(
                    f"explainer 'guided_backprop': expected ReLU modules alone, got {type(module).__name__} in layer "
                    f"'{name}'; choose another explainer, such as gradient"
                )

    def _audited(self, subject: Subject, images: Images, classes: Classes | None) -> Explanation:
        pixels = images.detach().requires_grad_()
        with folded(subject.model):
            logits = _logits(subject.model, pixels)
        (found,) = torch.autograd.grad(scores_of(logits, chosen_classes(logits, classes)).sum(), pixels)
        return Explanation(logits, at_least_single(found).abs().sum(1))

    def _trained_maps(self, subject: Subject, images: Images, classes: Classes) -> Maps:
        model = subject.model
        pixels = images.detach().requires_grad_()
        with as_audited(model), folded(model), precise_second_order(pixels):
            score = scores_of(_logits(model, pixels), classes).sum()
            (found,) = torch.autograd.grad(score, pixels, create_graph=True)
        return at_least_single(found).abs().sum(1)


def _is_activation(module: nn.Module) -> bool:
    return type(module).__module__ == "torch.nn.modules.activation"


def _logits(model: Classifier, pixels: Images) -> Logits:
    guided: dict[nn.Module, Forward] = {
        module: _guided_relu for module in model.modules() if isinstance(module, nn.ReLU)
    }
    with activations_replaced(guided, ACTIVATIONS, "choose another explainer than guided_backprop, such as gradient"):
        logits: Logits = model(pixels)
    return logits


def _guided_relu(x: Tensor) -> Tensor:
    return cast(Tensor, _GuidedReLU.apply(x))


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x)
        return x.relu()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:  # noqa: ANN401
        (x,) = ctx.saved_tensors
        # One pass over the numbers, where a product with the ReLU's own slope would take three.
        positive: Tensor = torch.ops.aten.threshold_backward(upstream, x, 0).relu()
        return positive
