"""The layers of a model in the order of computing, found by tracing it."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from falsewitness.core import InputError
from falsewitness.core.errors import first_line
from falsewitness.explainers._relevance_layers import (
    Addition,
    Average,
    Layer,
    Maximum,
    Normalisation,
    Rearrangement,
    Rectifier,
    Weighted,
)
from falsewitness.models import Classifier, as_audited

_KNOWN = "convolutions, linear layers, nn.BatchNorm2d, ReLU, pooling, flattening, padding and sums of two branches"
INSTEAD = "choose an explainer that needs no rules for layers, such as gradcam"

_POOLED_BY_MEAN = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
_UNCHANGED = (nn.Identity, nn.Dropout, nn.Dropout2d)

_ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
_RECTIFIERS = (F.relu, torch.relu, "relu", "relu_")
_MAXIMA = (F.max_pool2d, torch.max_pool2d)
_AVERAGES = (F.avg_pool2d, F.adaptive_avg_pool2d)
_MEANS = (torch.mean, "mean")
_DROPOUTS = (F.dropout, F.dropout2d)
_FLATTENINGS = (torch.flatten, "flatten")


@dataclass(frozen=True)
class Step:
    """A layer at its place in the model.

    Attributes:
        name: Of what it gives.
        where: The layer's name and type, as people know it.
        layer: What it computes.
        inputs: Names of what it is given.
    """

    name: str
    where: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """A model's layers, in the order of computing.

    Attributes:
        steps: The layers.
        pixels: The name of what goes in: normalised pixels.
        logits: The name of what comes out.
        features: The name of the last feature map; empty if it is no tensor.
        outputs: What each module of the network gives: names by the module's name, as in ``named_modules()``.
    """

    steps: tuple[Step, ...]
    pixels: str
    logits: str
    features: str
    outputs: dict[str, str]

    def values(self, pixels: Tensor) -> dict[str, Tensor]:
        """Compute everything, with running statistics in batch norm and without dropout.

        Args:
            pixels: Normalised.
        """
        values = {self.pixels: pixels}
        for step in self.steps:
            values[step.name] = step.layer(*(values[name] for name in step.inputs))
        return values


def traced(model: Classifier, kind: str) -> Network:
    """Find the layers of a model.

    Args:
        model: What is explained; its weights are looked up whenever the layers compute, not now.
        kind: The explainer, for what is said of a model that it cannot explain.

    Raises:
        InputError: If the model cannot be traced, or has a layer of another kind.
    """
    tracer, root = _Tracer(), _Root(model)
    try:
        # With gradients, because some networks ask whether there are any, and in the mode in which they are audited.
        with torch.enable_grad(), as_audited(model):
            nodes = list(tracer.trace(root).nodes)
    except Exception as error:  # noqa: BLE001 - code that was not made for tracing fails in any way
        raise InputError(
            f"explainer '{kind}' follows a model layer by layer: expected one that torch.fx can trace, got "
            f"{first_line(error)}; {INSTEAD}"
        ) from None
    found = _Reader(root, kind, nodes)
    prefix = "network."
    outputs = {name.removeprefix(prefix): output for name, output in tracer.outputs.items() if name.startswith(prefix)}
    return Network(found.steps(), nodes[0].name, found.logits(), tracer.outputs.get(root.features, ""), outputs)


class _Root(nn.Module):
    """The model behind its normalisation; ``features`` names the module that gives the last feature map."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.network = model.network
        self.last_feature_map = nn.Identity()
        inner = getattr(model, "feature_layer", None)  # a wrapped module's
        self.is_wrapped = inner is not None
        self.features = f"network.{inner}" if self.is_wrapped else "last_feature_map"

    def forward(self, pixels: Any) -> Any:  # noqa: ANN401 - nobody knows what a wrapped module returns; pixels are traced
        network: Any = self.network
        if self.is_wrapped:
            return network(pixels)
        return network.forward_head(self.last_feature_map(network.forward_features(pixels)))


class _Tracer(fx.Tracer):
    """Takes note of which node is each module's output."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, str] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401 - torch's own
        output = super().call_module(m, forward, args, kwargs)
        if isinstance(output, fx.Proxy):
            self.outputs[self.path_of_module(m)] = output.node.name
        return output


class _Reader:
    """Makes steps of traced nodes."""

    def __init__(self, root: nn.Module, kind: str, nodes: list[fx.Node]) -> None:
        self._root = root
        self._kind = kind
        self._nodes = nodes

    def steps(self) -> tuple[Step, ...]:
        followed = {node: norm for node in self._nodes if (norm := self._norm_after(node))}
        folded = {norm: convolution for convolution, norm in followed.items()}
        steps = []
        for node in self._nodes[1:-1]:
            if node in followed:
                continue
            source = folded.get(node, node)  # whose inputs the layer takes
            layer = self._weighted(source, node) if node in folded else self._layer(node)
            inputs = tuple(argument.name for argument in source.args if isinstance(argument, fx.Node))
            steps.append(Step(node.name, self._where(source), layer, inputs))
        return tuple(steps)

    def logits(self) -> str:
        result = self._nodes[-1].args[0]
        if not isinstance(result, fx.Node):
            found = type(result).__name__.removeprefix("immutable_")  # torch.fx's own dicts and lists
            raise InputError(
                f"explainer '{self._kind}': expected a network that returns logits alone, got a {found}; {INSTEAD}"
            )
        return result.name

    def _norm_after(self, node: fx.Node) -> fx.Node | None:
        """Return the batch norm that alone sees a convolution's output, if it has running statistics."""
        if node.op != "call_module" or type(self._module(node)) is not nn.Conv2d or len(node.users) != 1:
            return None
        (user,) = node.users
        return user if user.op == "call_module" and _is_fixed_norm(self._module(user)) else None

    def _layer(self, node: fx.Node) -> Layer:
        layer = None
        if len(node.all_input_nodes) == 1 and node.args and node.args[0] is node.all_input_nodes[0]:
            layer = self._of_module(node) if node.op == "call_module" else _of_function(node)
        elif node.target in _ADDITIONS and len(node.args) == len(node.all_input_nodes) == 2 and not node.kwargs:
            layer = Addition()
        if layer is None:
            raise InputError(
                f"explainer '{self._kind}' has no rule for {self._where(node)}: expected {_KNOWN}; {INSTEAD}"
            )
        return layer

    def _of_module(self, node: fx.Node) -> Layer | None:
        module = self._module(node)
        if type(module) in (nn.Conv2d, nn.Linear):
            return self._weighted(node, node)
        if _is_fixed_norm(module):
            return Normalisation(module)
        if type(module) is nn.ReLU:
            return Rectifier()
        if type(module) is nn.MaxPool2d and not module.return_indices:
            return Maximum(module)
        if type(module) in _POOLED_BY_MEAN:
            return Average(module)
        if type(module) in _UNCHANGED:
            return Rearrangement(_same)
        if type(module) is nn.Flatten and module.start_dim == 1:
            return Rearrangement(module)
        return None

    def _weighted(self, node: fx.Node, last: fx.Node) -> Weighted:
        """Return a convolution or linear layer; ``last`` is the batch norm folded into it, or itself."""
        module = self._module(node)
        if type(module) is nn.Conv2d and (module.padding_mode != "zeros" or isinstance(module.padding, str)):
            raise InputError(
                f"explainer '{self._kind}' cannot transpose {self._where(node)}: expected zeros as padding, by numbers,"
                f" got padding {module.padding!r} of {module.padding_mode}; {INSTEAD}"
            )
        return Weighted(module, None if last is node else self._module(last), all(map(self._rectifies, last.users)))

    def _rectifies(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return type(self._module(node)) is nn.ReLU
        return node.target in _RECTIFIERS

    def _module(self, node: fx.Node) -> Any:  # noqa: ANN401 - a module of any type
        return self._root.get_submodule(str(node.target))

    def _where(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return _said(str(node.target), type(self._module(node)))
        operation = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.target)
        inside = [_said(path, cls) for path, cls in node.meta.get("nn_module_stack", {}).values()]
        place = inside[-1] if inside else "the head"
        # A layer that asks for a tensor's shape is not one of those known, whatever it computes with it.
        return place if node.target is getattr else f"the operation '{operation}' in {place}"


def _said(path: str, cls: type[nn.Module]) -> str:
    name = path.removeprefix("network").removeprefix(".")
    return f"layer '{name}' ({cls.__name__})" if name else f"the network ({cls.__name__})"


def _of_function(node: fx.Node) -> Layer | None:
    if node.op not in ("call_function", "call_method"):
        return None
    target = node.target
    if target in _RECTIFIERS:
        return Rectifier()
    if target in _DROPOUTS:
        return Rearrangement(_same)
    if target in _MAXIMA:
        return Maximum(_call(node))
    if target in _AVERAGES:
        is_strided_only = target is F.avg_pool2d and _argument(node, 1, "kernel_size") == 1
        return Rearrangement(_call(node)) if is_strided_only else Average(_call(node))
    if target in _MEANS and _spares_the_batch(_argument(node, 1, "dim")):
        return Average(_call(node))
    is_a_move = (
        target == "contiguous"
        or (target in _FLATTENINGS and _argument(node, 1, "start_dim") == 1)
        or (target is F.pad and _argument(node, 2, "mode") in (None, "constant") and not _argument(node, 3, "value"))
        or (target is operator.getitem and _is_of_slices(node.args[1]))
    )
    return Rearrangement(_call(node)) if is_a_move else None


def _call(node: fx.Node) -> Any:  # noqa: ANN401 - a function of a tensor
    rest, options = node.args[1:], dict(node.kwargs)
    if isinstance(node.target, str):
        return operator.methodcaller(node.target, *rest, **options)
    function: Any = node.target
    return lambda inputs: function(inputs, *rest, **options)


def _argument(node: fx.Node, position: int, name: str) -> Any:  # noqa: ANN401 - whatever was given
    return node.args[position] if len(node.args) > position else node.kwargs.get(name)


def _spares_the_batch(dims: Any) -> bool:  # noqa: ANN401 - whatever was given
    listed = dims if isinstance(dims, tuple | list) else [dims]
    return all(isinstance(dim, int) and dim not in (0, -4) for dim in listed)


def _is_of_slices(index: Any) -> bool:  # noqa: ANN401 - whatever was given
    return isinstance(index, tuple) and index[0] == slice(None) and all(isinstance(part, slice) for part in index)


def _is_fixed_norm(module: nn.Module) -> bool:
    return type(module) is nn.BatchNorm2d and module.running_var is not None


def _same(inputs: Tensor) -> Tensor:
    return inputs
