"""Batch norm with running statistics, folded into the convolutions before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from falsewitness.models._forwards import ONE_THREAD_AT_A_TIME, Forward, forwards_replaced

if TYPE_CHECKING:
    from falsewitness.models._classifier import Classifier


@dataclass(frozen=True)
class Pair:
    """A convolution and the batch norm that alone sees its output."""

    convolution: nn.Conv2d
    norm: nn.BatchNorm2d

    @property
    def can_be_folded(self) -> bool:
        """Whether the norm scales by fixed statistics now, and nobody's code stands in the way of either layer."""
        convolution, norm = self.convolution, self.norm
        is_fixed = not norm.training and norm.running_mean is not None
        is_of_one_type = is_fixed and convolution.weight.dtype == cast(Tensor, norm.running_mean).dtype
        # Weight norm and pruning lay made-up weights over a layer's own, and make them anew when it is called.
        is_plain = not any({"forward", "weight", "bias"} & vars(part).keys() for part in (convolution, norm))
        return is_of_one_type and is_plain and not convolution._forward_hooks and not norm._forward_pre_hooks

    def as_one(self) -> Forward:
        """Return the one convolution that computes what both do now, with gradients to the weights of both."""
        weight, bias = folded_weights(self.convolution, self.norm)
        return lambda x: cast(Tensor, self.convolution._conv_forward(x, weight, bias))


@dataclass(frozen=True)
class Folding:
    """What tracing found of a model.

    Attributes:
        parts: The modules that the network consisted of; it holds for no others.
        pairs: Those of them that can be folded.
    """

    parts: tuple[nn.Module, ...]
    pairs: tuple[Pair, ...]


def folded_weights(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the one convolution that computes what both do, with gradients to those of both.

    Args:
        convolution: What comes first.
        norm: A batch norm that has running statistics, which alone sees the convolution's output.
    """
    mean = cast(Tensor, norm.running_mean)
    nothing = torch.zeros_like(mean)

    def normalised(channels: Tensor, mean: Tensor, bias: Tensor | None) -> Tensor:
        return F.batch_norm(channels[None], mean, norm.running_var, norm.weight, bias, eps=norm.eps)[0]

    scale = normalised(torch.ones_like(mean), nothing, None)
    bias = normalised(nothing if convolution.bias is None else convolution.bias, mean, norm.bias)
    return convolution.weight * scale.view(-1, 1, 1, 1), bias


@contextmanager
def folded(model: Classifier) -> Iterator[None]:
    """Fold batch norm in evaluation mode into the convolutions before it, for the time of the block.

    Such a batch norm scales and shifts every channel. Done to the convolution's weights instead of to its output, that
    costs next to nothing (Jacob et al. 2018, section 3.2). The logits and all gradients stay the same up to rounding;
    what hooks see of the layers in between does not. A pair is folded where nothing else sees the convolution's output,
    as tracing the network shows once; one that cannot be traced is left as it is. So is a wrapped module: a stranger's
    code may do anything while it is traced, and compute otherwise the next time.

    Weights are folded when the block begins, once for all passes in it. So they must not change inside it, and a loss
    on them may be differentiated once, unless the graph is retained. While a network is traced, other threads must not
    call any module.

    Args:
        model: Changed inside the block only.
    """
    with ONE_THREAD_AT_A_TIME:
        replacements: dict[nn.Module, Forward] = {}
        for pair in _pairs_of(model):
            if pair.can_be_folded:
                replacements |= {pair.convolution: pair.as_one(), pair.norm: _same}
        with forwards_replaced(replacements):
            yield


def _pairs_of(model: Classifier) -> tuple[Pair, ...]:
    if model.architecture is None:
        return ()
    parts = tuple(model.network.modules())
    if model.folding is None or model.folding.parts != parts:
        model.folding = Folding(parts, _found_in(model))
    return model.folding.pairs


def _same(x: Tensor) -> Tensor:
    return x


def _found_in(model: nn.Module) -> tuple[Pair, ...]:
    try:
        graph = fx.Tracer().trace(model)
    except Exception:  # noqa: BLE001 - code that was not made for tracing fails in any way
        return ()
    calls = [node for node in graph.nodes if node.op == "call_module"]
    times = Counter(node.target for node in calls)
    found = []
    for first in calls:
        if len(first.users) != 1:
            continue
        (second,) = first.users
        if second.op == "call_module" and times[first.target] == times[second.target] == 1:
            convolution, norm = model.get_submodule(str(first.target)), model.get_submodule(str(second.target))
            if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
                found.append(Pair(convolution, norm))
    return tuple(found)
