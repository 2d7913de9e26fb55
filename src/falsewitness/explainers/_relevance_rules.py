"""How a layer hands the relevance of its outputs on to its inputs (Montavon et al. 2019)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from falsewitness.explainers._relevance_layers import Weighted


class Rule(ABC):
    """A way to share out the relevance of a weighted layer's outputs.

    Every rule is ``R_i = sum_j (share of i in j) R_j`` with shares that add up to 1 but for the stabiliser and the
    bias. It is computed with differentiable operations only, from weights and inputs that are not detached: then the
    gradient of relevance by the weights is the true one.
    """

    expects_no_negatives: ClassVar[bool] = False
    """Whether its shares make sense for inputs of at least 0 only."""

    @abstractmethod
    def __call__(self, layer: Weighted, inputs: Tensor, outputs: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the inputs.

        Args:
            layer: A convolution or linear layer.
            inputs: What it was given.
            outputs: What it gave.
            relevance: Of its outputs.
        """


@dataclass(frozen=True)
class Epsilon(Rule):
    """LRP-epsilon: ``R_i = sum_j a_i w_ij / (z_j + epsilon sign z_j) R_j``, ``z_j = sum_i a_i w_ij + b_j``."""

    epsilon: float

    def __call__(self, layer: Weighted, inputs: Tensor, outputs: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the inputs."""
        weight, _bias = layer.weights()
        return inputs * layer.backwards(relevance / stabilised(outputs, self.epsilon), weight, inputs.shape)


@dataclass(frozen=True)
class Gamma(Rule):
    """LRP-gamma: weights of the output's own sign count ``1 + gamma`` times as much.

    For an output that is positive, as all are that a ReLU lets pass: ``w_ij + gamma w_ij^+`` in place of ``w_ij``,
    the bias likewise. Behind a sum of two branches outputs below zero can be relevant, too; there ``w_ij^+`` could
    bring the denominator to zero, so ``w_ij^-`` is favoured instead. Expects inputs of at least 0.
    """

    gamma: float
    epsilon: float

    expects_no_negatives: ClassVar[bool] = True

    def __call__(self, layer: Weighted, inputs: Tensor, outputs: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the inputs."""
        weight, bias = layer.weights()
        above = weight.clamp(min=0)
        positive = layer.forwards(inputs, above, None if bias is None else bias.clamp(min=0))
        is_positive = outputs > 0
        favoured = torch.where(is_positive, positive, outputs - positive)
        ratio = relevance / stabilised(outputs + self.gamma * favoured, self.epsilon)
        share = layer.backwards(ratio * is_positive, weight + self.gamma * above, inputs.shape)
        if not layer.is_rectified:
            below = weight - above
            share = share + layer.backwards(ratio * ~is_positive, weight + self.gamma * below, inputs.shape)
        return inputs * share


@dataclass(frozen=True)
class AlphaOneBetaZero(Rule):
    """LRP-alpha1-beta0, the z-plus rule: ``R_i = sum_j a_i w_ij^+ / (sum_i a_i w_ij^+ + b_j^+) R_j``.

    Expects inputs of at least 0.
    """

    epsilon: float

    expects_no_negatives: ClassVar[bool] = True

    def __call__(self, layer: Weighted, inputs: Tensor, outputs: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the inputs."""
        weight, bias = (part if part is None else part.clamp(min=0) for part in layer.weights())
        assert weight is not None  # noqa: S101 - only the bias may be missing
        positive = layer.forwards(inputs, weight, bias)
        return inputs * layer.backwards(relevance / stabilised(positive, self.epsilon), weight, inputs.shape)


@dataclass(frozen=True)
class Box(Rule):
    """The z-B rule for pixels between bounds: shares are ``a_i w_ij - low_i w_ij^+ - high_i w_ij^-``.

    No bias takes part, and no share is negative.

    Attributes:
        low: The least that a pixel can be, ``[1, channels, 1, 1]``.
        high: The most.
        epsilon: Of the stabiliser.
    """

    low: Tensor
    high: Tensor
    epsilon: float

    def __call__(self, layer: Weighted, inputs: Tensor, outputs: Tensor, relevance: Tensor) -> Tensor:
        """Return the relevance of the inputs."""
        weight, _bias = layer.weights()
        above, below = weight.clamp(min=0), weight.clamp(max=0)
        shape, bounds = inputs.shape, inputs[:1].shape
        low, high = self.low.expand(bounds), self.high.expand(bounds)
        total = layer.forwards(inputs, weight, None)
        total = total - layer.forwards(low, above, None) - layer.forwards(high, below, None)
        ratio = relevance / stabilised(total, self.epsilon)
        return (
            inputs * layer.backwards(ratio, weight, shape)
            - low * layer.backwards(ratio, above, shape)
            - high * layer.backwards(ratio, below, shape)
        )


def pulled_back(operation: Callable[[Tensor], Tensor], inputs: Tensor, relevance: Tensor) -> Tensor:
    """Return relevance times the derivative of an operation that is linear, or linear in places as max pooling is.

    Args:
        operation: Has no weights.
        inputs: Where it is differentiated.
        relevance: Of its outputs.
    """
    is_differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        at = inputs.detach().requires_grad_()
        outputs = operation(at)
    (result,) = torch.autograd.grad(outputs, at, relevance, create_graph=is_differentiable)
    return result


def stabilised(total: Tensor, epsilon: float) -> Tensor:
    """Return numbers moved away from zero, which something is to be divided by."""
    return total + torch.where(total < 0, -epsilon, epsilon).to(total)
