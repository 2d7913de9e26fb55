"""DeepLIFT's rescale rule: a layer's slope between an image and a reference, in place of its derivative."""

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from falsewitness.core.shapes import Images, Logits
from falsewitness.explainers._relevance_layers import Map, Maximum, Rectifier
from falsewitness.explainers._relevance_rules import pulled_back
from falsewitness.explainers._relevance_trace import Network
from falsewitness.models import Classifier


def rescaled_logits(
    model: Classifier, network: Network, images: Images, references: Float[Tensor, "references channels height width"]
) -> Logits:
    """Return the logits of images, of which the gradient by the pixels is DeepLIFT's multipliers.

    The multipliers ``m`` of a logit ``f`` add up: ``sum m (x - r) = f(x) - f(r)`` (Shrikumar et al. 2017, sections 3.1
    and 3.2). Linear layers have one slope everywhere, so only ReLU and max pooling need a rule; the chain rule of
    multipliers (section 3.2 there) is then that of gradients.

    Args:
        model: What is explained.
        network: Its layers.
        images: Raw pixels; as many for each reference, in the order of references.
        references: Raw pixels of what images are compared with.
    """
    values = {network.pixels: model.normalised(images)}
    others = {network.pixels: model.normalised(references)}
    for step in network.steps:
        layer, inputs = step.layer, [values[name] for name in step.inputs]
        compared = [others[name] for name in step.inputs]
        if isinstance(layer, Rectifier):
            values[step.name] = cast(Tensor, _Rectified.apply(inputs[0], compared[0]))
        elif isinstance(layer, Maximum):
            values[step.name] = cast(Tensor, _Largest.apply(inputs[0], compared[0], layer))
        else:
            values[step.name] = layer(*inputs)
        with torch.no_grad():
            others[step.name] = layer(*compared)
    return values[network.logits]


class _Rectified(torch.autograd.Function):
    """ReLU, whose slope is ``(relu(x) - relu(r)) / (x - r)`` (Shrikumar et al. 2017, section 3.5.2)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, references: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(inputs, references)
        return inputs.relu()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        inputs, references = ctx.saved_tensors
        beside = _beside(references, inputs)
        difference = inputs - beside
        slope = (inputs.relu() - beside.relu()) / difference
        return upstream * torch.where(difference == 0, (inputs > 0).to(slope), slope), None


class _Largest(torch.autograd.Function):
    """Max pooling, whose change is put down to the inputs that are the largest with the image and the reference.

    Where the largest rises, the rise is the image's; where it falls, the fall is the reference's: what raised the
    pool has that to its credit (as the shap library does it). Slopes lie between 0 and 1, and windows may overlap.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, references: Tensor, pool: Map) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(inputs, references)
        ctx.pool = pool
        return pool(inputs)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (inputs, references), pool = ctx.saved_tensors, ctx.pool
        beside = _beside(references, inputs)
        with torch.no_grad():
            rise = pool(inputs) - pool(beside)
            risen = pulled_back(pool, inputs, upstream * rise.clamp(min=0))
            fallen = pulled_back(pool, beside, upstream * rise.clamp(max=0))
        difference = inputs - beside
        return torch.where(difference == 0, 0, (risen + fallen) / difference), None, None


def _beside(references: Tensor, inputs: Tensor) -> Tensor:
    """Return each input's reference."""
    return references.repeat_interleave(len(inputs) // len(references), 0)
