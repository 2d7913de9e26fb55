"""What a layer computes, by the few kinds of layers for which explanations have rules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from falsewitness.core import InputError
from falsewitness.models import folded_weights

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Weighted:
    """A convolution or linear layer, with the batch norm after it folded in.

    Attributes:
        module: Whose weights these are.
        norm: A batch norm that alone sees the convolution's output; it counts with its running statistics.
        is_rectified: Whether nothing but a ReLU sees its outputs: then those below zero are never relevant.
    """

    module: nn.Conv2d | nn.Linear
    norm: nn.BatchNorm2d | None
    is_rectified: bool

    def weights(self) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias, from which gradients reach those of the module and of the batch norm."""
        if self.norm is None:
            return self.module.weight, self.module.bias
        return folded_weights(cast(nn.Conv2d, self.module), self.norm)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return what the layer gives."""
        return self.forwards(inputs, *self.weights())

    def forwards(self, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return what the layer would give with other weights."""
        if isinstance(self.module, nn.Conv2d):
            return cast(Tensor, self.module._conv_forward(inputs, weight, bias))
        return F.linear(inputs, weight, bias)

    def backwards(self, outputs: Tensor, weight: Tensor, shape: torch.Size) -> Tensor:
        """Return the transposed of the linear map that other weights make, applied to something like outputs.

        Args:
            outputs: Of the shape of the layer's outputs.
            weight: Other weights.
            shape: The shape of the layer's inputs.
        """
        module = self.module
        if isinstance(module, nn.Conv2d):
            form = (module.stride, module.padding, module.dilation, module.groups)
            return cast(Tensor, conv2d_input(shape, weight, outputs, *form))
        return outputs @ weight


@dataclass(frozen=True)
class Normalisation:
    """A batch norm that could not be folded; it counts with its running statistics."""

    module: nn.BatchNorm2d

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return what the layer gives in evaluation mode."""
        norm = self.module
        return F.batch_norm(inputs, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


@dataclass(frozen=True)
class Rectifier:
    """A ReLU."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return what the layer gives."""
        return inputs.relu()


@dataclass(frozen=True)
class Maximum:
    """Max pooling."""

    pool: Map

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return what the layer gives."""
        return self.pool(inputs)


@dataclass(frozen=True)
class Average:
    """Average pooling, or a mean over positions."""

    pool: Map

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return what the layer gives."""
        return self.pool(inputs)


@dataclass(frozen=True)
class Rearrangement:
    """What moves numbers, drops some or adds zeros, but computes none: flattening, padding, every second pixel."""

    move: Map

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return what the layer gives."""
        return self.move(inputs)


@dataclass(frozen=True)
class Addition:
    """The sum of two branches."""

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Return what the layer gives.

        Raises:
            InputError: If one is spread over the other: then it is no sum of two branches.
        """
        if first.shape != second.shape:
            raise InputError(
                f"expected sums of two branches of one shape, got {tuple(first.shape)} and {tuple(second.shape)}, for "
                "which there is no rule; choose an explainer that needs none, such as gradcam"
            )
        return first + second


Layer = Weighted | Normalisation | Rectifier | Maximum | Average | Rearrangement | Addition
