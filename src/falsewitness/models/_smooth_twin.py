"""A network's smooth twin: the same weights, and curvature where the network has kinks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from falsewitness.core import InputError
from falsewitness.models._forwards import RECTIFIERS, activations_replaced

_KINKED = (nn.PReLU, nn.RReLU, nn.Threshold, nn.Hardshrink, nn.Softshrink)
"""Piecewise linear activations that have no stand-in here. Hardswish is not among them: it is quadratic in between."""

_ADVICE = "gradient maps of this network cannot be trained: choose another surrogate, such as gradcam"

_NEGLIGIBLE = 40.0
"""Below exp(-40) softplus is nothing beside 1; what underflows further on takes a CPU several times as long."""


@contextmanager
def smoothed(model: nn.Module, beta: float) -> Iterator[None]:
    """Replace every ReLU by softplus for the time of the block, also where it is part of another activation.

    A ReLU network's input gradient is piecewise constant: its Hessian is zero almost everywhere, so no loss
    on gradient maps can train through it. Its smooth twin has the same weights and curvature (Dombrowski et
    al. 2019, section 4). ReLU6, Hardtanh, Hardsigmoid and LeakyReLU are sums of ReLUs and become the same sums
    of softplus.

    Args:
        model: Changed inside the block only.
        beta: Sharpness of softplus; larger is closer to ReLU.

    Raises:
        InputError: If an activation is piecewise linear and cannot be replaced: one without a stand-in, or one that is
            called as a function. The latter is found by the forward passes in the block, which is to hold no other.
    """
    twins = {module: twin for name, module in model.named_modules() if (twin := _twin(name, module, beta))}
    with activations_replaced(twins, RECTIFIERS, _ADVICE):
        yield


def _twin(name: str, module: nn.Module, beta: float) -> Callable[[Tensor], Tensor] | None:
    softplus = partial(_softplus, beta=beta)
    if isinstance(module, _KINKED):
        raise InputError(
            f"layer '{name}': there is no smooth stand-in for {type(module).__name__}, so gradient maps of this "
            "network cannot be trained; choose another surrogate, such as gradcam, or a network with ReLU"
        )
    if isinstance(module, nn.ReLU):
        return softplus
    if isinstance(module, nn.Hardtanh):  # nn.ReLU6 is one
        low, high = module.min_val, module.max_val
        return lambda x: low + softplus(x - low) - softplus(x - high)
    if isinstance(module, nn.Hardsigmoid):
        return lambda x: (softplus(x + 3) - softplus(x - 3)) / 6
    if isinstance(module, nn.LeakyReLU):
        slope = module.negative_slope
        return lambda x: slope * x + (1 - slope) * softplus(x)
    return None


def _softplus(x: Tensor, beta: float) -> Tensor:
    return F.softplus(x.clamp_min(-_NEGLIGIBLE / beta), beta=beta)
