"""Other ways to compute some layers, for a while."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from falsewitness.core import InputError

Forward = Callable[[Tensor], Tensor]
"""What a module computes."""

_Functions = tuple[object, ...]

RECTIFIERS: _Functions = (
    *(F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6, F.leaky_relu, F.leaky_relu_),
    *(F.hardtanh, F.hardtanh_, F.hardsigmoid, F.threshold, F.prelu, F.rrelu, torch.prelu, torch.rrelu, Tensor.prelu),
)
"""Piecewise linear activations that are called as functions."""

ACTIVATIONS: _Functions = (
    *RECTIFIERS,
    *(F.silu, F.gelu, F.mish, F.elu, F.selu, F.celu, F.softplus, F.hardswish, F.logsigmoid, F.softsign, F.tanhshrink),
    *(torch.sigmoid, torch.tanh, F.sigmoid, F.tanh, Tensor.sigmoid, Tensor.tanh, Tensor.sigmoid_, Tensor.tanh_),
)
"""The same, and smooth ones."""

_CLAMPS: _Functions = (
    *(torch.clamp, torch.clamp_, torch.clamp_min, torch.clamp_min_, torch.clip, torch.clip_),
    *(Tensor.clamp, Tensor.clamp_, Tensor.clamp_min, Tensor.clamp_min_, Tensor.clip, Tensor.clip_),
)


ONE_THREAD_AT_A_TIME = threading.RLock()
"""Held while modules compute otherwise: two threads that took turns would put each other's functions back."""


@contextmanager
def forwards_replaced(replacements: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Let each module compute by another function for the time of the block, also where the block ends in an error.

    Another thread's blocks wait for the end of this one.
    """
    with ONE_THREAD_AT_A_TIME:
        before = {module: vars(module).get("forward") for module in replacements}
        try:
            for module, forward in replacements.items():
                module.forward = forward
            yield
        finally:
            for module, own in before.items():
                if own is None:
                    vars(module).pop("forward", None)
                else:
                    module.forward = own


@contextmanager
def activations_replaced(
    replacements: Mapping[nn.Module, Forward], others: Collection[object], advice: str
) -> Iterator[None]:
    """Replace modules likewise, and refuse what a network does beside them without a module that could be replaced.

    The block is to hold forward passes alone: a backward pass may use the same functions.

    Args:
        replacements: For each module what to compute.
        others: Functions that must not be called but by the replacements: of :data:`ACTIVATIONS`.
        advice: What to do where one is.

    Raises:
        InputError: When the network calls one of the functions.
    """
    watch = _Watch(others, advice)
    trusted = {module: watch.trusting(own) for module, own in replacements.items()}
    with forwards_replaced(trusted), watch:
        yield


class _Watch(TorchFunctionMode):
    """Refuses functions, unless a trusted one calls them."""

    def __init__(self, refused: Collection[object], advice: str) -> None:
        super().__init__()
        self._refused, self._advice, self._trusts = frozenset(refused), advice, False

    def trusting(self, forward: Forward) -> Forward:
        """Return a function that may call what is refused."""

        def trusted(x: Tensor) -> Tensor:
            self._trusts = True
            try:
                return forward(x)
            finally:
                self._trusts = False

        return trusted

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        if not self._trusts and (func in self._refused or _cuts_off_at_zero(func, args, kwargs or {})):
            raise InputError(
                f"expected activations that are modules, such as nn.ReLU, got a call of '{func.__name__}'; "
                f"{self._advice}"
            )
        return func(*args, **(kwargs or {}))


def _cuts_off_at_zero(func: object, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Return whether it is a ReLU by the name of a clamp; another bound is no activation, but care for rounding."""
    if func not in _CLAMPS:
        return False
    low = kwargs.get("min", args[1] if len(args) > 1 else None)
    return isinstance(low, int | float) and low == 0
