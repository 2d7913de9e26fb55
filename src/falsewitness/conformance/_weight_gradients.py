"""Whether a surrogate's gradient by the weights is the true one: compared with finite differences."""

from collections.abc import Sequence

import torch
from torch import Tensor

from falsewitness.core.shapes import Images
from falsewitness.explainers import BoundExplainer

_DIRECTIONS = 12
_STEP = 1e-7
"""Short, because a map that is made of gradients jumps wherever a weight moves a ReLU over its kink."""


def error_of_weight_gradient(explain: BoundExplainer, images: Images) -> float:
    """Return how far the gradient of a linear loss on maps lies from differences of it, relative to its length.

    Both are compared along random directions in the space of the weights: that estimates the distance of the
    gradients themselves at the price of a few forward passes. The differences are of one side: over so short a step
    those of both sides say the same.

    Args:
        explain: A surrogate, bound to a model in double precision.
        images: Likewise in double precision.
    """
    generator = torch.Generator().manual_seed(0)
    weights = [weight for weight in explain.model.parameters() if weight.requires_grad]
    classes = torch.arange(len(images))
    maps = explain.differentiable(images, classes).maps
    wanted = torch.randn(maps.shape, generator=generator, dtype=maps.dtype)
    here = (maps * wanted).sum()
    gradient = torch.autograd.grad(here, weights, allow_unused=True)

    def loss(offsets: Sequence[Tensor]) -> float:
        originals = [weight.detach().clone() for weight in weights]
        with torch.no_grad():
            for weight, offset in zip(weights, offsets, strict=True):
                weight.add_(offset)
        found = float((explain.differentiable(images, classes).maps.detach() * wanted).sum())
        with torch.no_grad():
            for weight, original in zip(weights, originals, strict=True):
                weight.copy_(original)
        return found

    claimed, true = torch.zeros(2, _DIRECTIONS, dtype=torch.float64)
    for number in range(_DIRECTIONS):
        direction = _random_direction(weights, generator)
        claimed[number] = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True) if g is not None)
        true[number] = (loss([d * _STEP for d in direction]) - float(here.detach())) / _STEP
    return float((claimed - true).norm() / true.norm().clamp_min(torch.finfo(true.dtype).tiny))


def _random_direction(weights: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    direction = [torch.randn(weight.shape, generator=generator, dtype=weight.dtype) for weight in weights]
    length = torch.stack([part.square().sum() for part in direction]).sum().sqrt()
    return [part / length for part in direction]
