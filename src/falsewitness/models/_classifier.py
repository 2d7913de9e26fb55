"""One face for every classifier: raw pixels in, logits out, and the feature map in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.core.faults import nearest
from falsewitness.core.shapes import Features, Images, Logits
from falsewitness.models._folded import Folding

if TYPE_CHECKING:
    from falsewitness.models._base import Architecture


class LinearHead(NamedTuple):
    """The last layer of a classifier whose logits are linear in the averaged feature map.

    Attributes:
        weight: ``[classes, feature_channels]``.
        bias: ``[classes]``.
    """

    weight: Float[Tensor, "classes feature_channels"]
    bias: Float[Tensor, " classes"]


class Classifier(nn.Module):
    """A network that takes raw pixels in [0, 1] and normalises them inside.

    Attributes:
        network: A module of timm's convention.
        info: The data it was made for.
        architecture: Its blueprint; None for a wrapped module.
        folding: What :func:`falsewitness.models.folded` found out about it; None before anybody asked.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        info: DataInfo | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.info = info
        self.architecture = architecture
        self.folding: Folding | None = None
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))
        _let_explainers_look_inside(network)
        self._head_is_linear = self._probe_head()

    @staticmethod
    def wrap(
        module: nn.Module,
        *,
        feature_layer: str,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        info: DataInfo | None = None,
    ) -> Classifier:
        """Give anybody's trained module the face of a classifier.

        Args:
            module: Takes normalised images, returns logits or an object with ``logits``, as Hugging Face's
                do. In-place activations and fused attention in it are switched off: they cannot be explained.
            feature_layer: Name, as in ``named_modules()``, of the layer whose output is the last feature map.
            mean: The mean it was trained with, one a channel.
            std: The standard deviation it was trained with, one a channel.
            info: The data it was made for, where known.

        Raises:
            InputError: If there is no layer of that name.
        """
        return _WrappedClassifier(module, feature_layer=feature_layer, mean=mean, std=std, info=info)

    def forward(self, images: Images) -> Logits:
        """Return the logits of raw pixels."""
        return self.head(self.features(images))

    def features(self, images: Images) -> Features:
        """Return the last feature map."""
        return self._call("forward_features", self.normalised(images))

    def head(self, features: Features) -> Logits:
        """Return the logits of a last feature map."""
        return self._call("forward_head", features)

    def normalised(self, images: Images) -> Images:
        """Return pixels as the network was trained on them."""
        return (images - self.mean) / self.std

    @property
    def linear_head(self) -> LinearHead | None:
        """The last layer where logits are linear in the averaged feature map, else None."""
        if not self._head_is_linear:
            return None
        layer = cast(Any, self.network).get_classifier()
        return LinearHead(layer.weight, torch.zeros_like(layer.weight[:, 0]) if layer.bias is None else layer.bias)

    def with_activation(self, images: Images, layer: str | None = None) -> tuple[Logits, Features]:
        """Run once and return the logits with a layer's output, in one graph.

        Args:
            images: Raw pixels.
            layer: A name from ``network.named_modules()``; None for the last feature map.

        Raises:
            InputError: If there is no such layer, or if its output is no feature map.
        """
        if layer is None:
            features = self.features(images)
            return self.head(features), features
        return _run_with_hook(self, self.network, layer, images)

    def layer_names(self) -> list[str]:
        """Return the names that :meth:`with_activation` takes."""
        return [name for name, _ in self.network.named_modules() if name]

    def _call(self, method: str, tensor: Tensor) -> Tensor:
        return cast(Tensor, getattr(self.network, method)(tensor))

    @torch.no_grad()
    def _probe_head(self) -> bool:
        """Try whether the head is average pooling and one linear layer: then Grad-CAM has a closed form."""
        layer = getattr(self.network, "get_classifier", lambda: None)()
        if not isinstance(layer, nn.Linear):
            return False
        noise = torch.randn(2, layer.in_features, 3, 3, generator=torch.Generator().manual_seed(0))
        probe = noise.to(layer.weight)
        with as_audited(self.network):
            try:
                return torch.allclose(self.head(probe), layer(probe.mean((2, 3))), rtol=1e-3, atol=1e-5)
            except RuntimeError:  # a head for feature maps of one size only
                return False


class _WrappedClassifier(Classifier):
    """A stranger's module behind our face; its last feature map is read by a hook."""

    def __init__(self, module: nn.Module, *, feature_layer: str, **description: Any) -> None:  # noqa: ANN401
        super().__init__(module, **description)
        self.feature_layer = feature_layer
        _find_layer(module, feature_layer)

    def forward(self, images: Images) -> Logits:
        output = self.network(self.normalised(images))
        logits = getattr(output, "logits", output)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            raise InputError(f"expected the wrapped module to return logits [batch, classes], got {_kind(logits)}")
        return logits

    def features(self, images: Images) -> Features:
        return self.with_activation(images)[1]

    def head(self, features: Features) -> Logits:
        raise InputError("a wrapped module has no separate head: call the classifier on images instead")

    def with_activation(self, images: Images, layer: str | None = None) -> tuple[Logits, Features]:
        return _run_with_hook(self, self.network, layer or self.feature_layer, images)

    def _probe_head(self) -> bool:
        return False  # nothing is known of what follows the feature layer


def _let_explainers_look_inside(network: nn.Module) -> None:
    """Switch off, in this network only, what computes the same but cannot be explained.

    An activation that works in place overwrites what a hook has kept of the layer before it, and breaks
    DeepLift in captum and shap. timm's fused attention has no second derivative, which losses on gradient
    maps need.
    """
    for module in network.modules():
        for switch in ("inplace", "fused_attn"):
            if getattr(module, switch, False) is True:
                setattr(module, switch, False)


def _find_layer(network: nn.Module, name: str) -> nn.Module:
    layers: dict[str, nn.Module] = dict(network.named_modules())
    if name not in layers or not name:
        raise InputError(f"the model has no layer '{name}'; {nearest(name, filter(None, layers))}")
    return layers[name]


def _run_with_hook(model: Classifier, network: nn.Module, name: str, images: Images) -> tuple[Logits, Features]:
    seen: list[object] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        seen.append(output)

    handle = _find_layer(network, name).register_forward_hook(keep)
    try:
        logits = model(images)
    finally:
        handle.remove()
    activation = seen[-1] if seen else None
    if not isinstance(activation, Tensor) or activation.ndim != 4:
        raise InputError(
            f"expected layer '{name}' to give a feature map [batch, channels, height, width], got {_kind(activation)}"
        )
    return logits, activation


def _kind(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


@contextmanager
def as_audited(model: nn.Module) -> Iterator[None]:
    """Run the model in evaluation mode, as an auditor does, for the time of the block."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
