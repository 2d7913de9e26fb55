"""One face for every classifier: raw pixels in, logits out, and the feature map in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.core.shapes import Features, Images, Logits
from falsewitness.models._feature_maps import (
    Layout,
    Seen,
    Tokens,
    find_layer,
    kind,
    layer_before_the_patches_are_lost,
    layout_of,
    map_of,
    run_and_see,
)
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
        feature_layer: Name of the layer whose output is the last feature map; None for what ``forward_features`` gives.
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
        feature_layer: str | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.info = info
        self.architecture = architecture
        self.feature_layer = feature_layer or layer_before_the_patches_are_lost(network)
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
        return self._call("forward_head", self._call("forward_features", self.normalised(images)))

    def features(self, images: Images) -> Features:
        """Return the last feature map."""
        if self.feature_layer is not None:
            return self._seen(images).features
        return map_of(self._call("forward_features", self.normalised(images)), self.layout, "forward_features", images)

    def head(self, features: Features) -> Logits:
        """Return the logits of a last feature map.

        Raises:
            InputError: If they depend on more than the map: on class tokens, or on what a layer before the last gives.
        """
        if self.feature_layer or self.layout.prefix:
            raise InputError(
                "a wrapped module, or one with class or register tokens, has no separate head: "
                "call the classifier on images instead"
            )
        return self._call("forward_head", self.layout.from_map(features, None))

    @property
    def layout(self) -> Layout:
        """How outputs of the network's layers lie over the image."""
        return layout_of(self.network)

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

        A transformer's patches are laid out as a feature map; class and register tokens are not part of it.

        Args:
            images: Raw pixels.
            layer: A name from ``network.named_modules()``; None for the last feature map.

        Raises:
            InputError: If there is no such layer, or if its output is no feature map.
        """
        seen = self._seen(images, layer)
        return seen.logits, seen.features

    @torch.enable_grad()
    def gradients_reach(self, layer: str | None = None) -> bool:
        """Tell whether the logits depend on a layer's feature map; an empty image is tried where that is in doubt.

        They do not where later layers read the class token alone: a map made of gradients would be zero there,
        whatever the image.

        Args:
            layer: As in :meth:`with_activation`.

        Raises:
            InputError: As there.
        """
        if not isinstance(self.layout, Tokens):
            return True
        network = cast(Any, self.network)
        height, width = (self.info.height, self.info.width) if self.info else network.patch_embed.img_size
        with torch.inference_mode(False), as_audited(self):
            seen = self._seen(self.mean.new_zeros(1, network.in_chans, height, width).requires_grad_(), layer)
            slopes = torch.autograd.grad(seen.logits.sum(), (seen.features, seen.output), allow_unused=True)
        of_map, of_all = (slope is not None and bool(slope.any()) for slope in slopes)
        return of_map or (slopes[1] is not None and not of_all)  # nothing gets through a head of zeros

    def layer_names(self) -> list[str]:
        """Return the names that :meth:`with_activation` takes."""
        return [name for name, _ in self.network.named_modules() if name]

    def check_layer(self, name: str) -> None:
        """Raise InputError, with the nearest names, unless there is a layer of that name."""
        find_layer(self.network, name)

    def _seen(self, images: Images, layer: str | None = None) -> Seen:
        if name := layer or self.feature_layer:
            return run_and_see(self, self.network, name, images)
        output, layout = self._call("forward_features", self.normalised(images)), self.layout
        features = map_of(output, layout, "forward_features", images)
        restored = layout.from_map(features, output)
        return Seen(self._call("forward_head", restored), features, restored)

    def _call(self, method: str, tensor: Tensor) -> Tensor:
        return cast(Tensor, getattr(self.network, method)(tensor))

    @torch.no_grad()
    def _probe_head(self) -> bool:
        """Try whether the head is average pooling and one linear layer: then Grad-CAM has a closed form."""
        layer = getattr(self.network, "get_classifier", lambda: None)()
        if self.feature_layer or not isinstance(layer, nn.Linear):
            return False
        generator, layout = torch.Generator().manual_seed(0), self.layout
        probe = torch.randn(2, layer.in_features, 3, 3, generator=generator).to(layer.weight)
        tokens = torch.randn(2, layout.prefix + 9, layer.in_features, generator=generator).to(layer.weight)
        with as_audited(self.network):
            try:
                logits = self._call("forward_head", layout.from_map(probe, tokens))
                return torch.allclose(logits, layer(probe.mean((2, 3))), rtol=1e-3, atol=1e-5)
            except RuntimeError:  # a head for feature maps of one size only
                return False


class _WrappedClassifier(Classifier):
    """A stranger's module behind our face; its last feature map is read by a hook."""

    def __init__(self, module: nn.Module, *, feature_layer: str, **description: Any) -> None:  # noqa: ANN401
        find_layer(module, feature_layer)
        super().__init__(module, feature_layer=feature_layer, **description)

    def forward(self, images: Images) -> Logits:
        output = self.network(self.normalised(images))
        logits = getattr(output, "logits", output)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            raise InputError(f"expected the wrapped module to return logits [batch, classes], got {kind(logits)}")
        return logits


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


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """Let batch norm normalise as it does, but keep its running statistics as they are, for the time of the block."""
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked
