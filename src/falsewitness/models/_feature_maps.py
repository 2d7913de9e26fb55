"""Layers' outputs as feature maps: a transformer's patches, and channels that come last, laid out over the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from falsewitness.core import InputError
from falsewitness.core.faults import nearest
from falsewitness.core.shapes import Features, Images, Logits

Size = tuple[int, int]
"""Height and width."""

_CHANNELS_FIRST = (nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm)
"""Modules that know of no other order of an image's channels, whatever network they are in."""

_A_MAP = "a feature map [batch, channels, height, width]"


class Layout(Protocol):
    """How a network's outputs lie over the image."""

    @property
    def prefix(self) -> int:
        """How many of the outputs come before the patches and belong to no place of the image."""

    def to_map(self, output: Tensor, size: Size) -> Features | None:
        """Return the output as a feature map, or None where it is none.

        Args:
            output: Of any layer.
            size: Height and width of the image.
        """

    def from_map(self, features: Features, output: Tensor | None) -> Tensor:
        """Return the output again, computed from its map.

        Args:
            features: As :meth:`to_map` gives it.
            output: What the map does not hold is taken from here; None where it holds everything.
        """


class ChannelsFirst:
    """``[batch, channels, height, width]``: a map as it is."""

    prefix: ClassVar[int] = 0

    def to_map(self, output: Tensor, size: Size) -> Features | None:
        """Return the output itself."""
        return output if output.ndim == 4 else None

    def from_map(self, features: Features, output: Tensor | None) -> Tensor:
        """Return the map itself."""
        return features


class ChannelsLast:
    """``[batch, height, width, channels]``, as in Swin transformers."""

    prefix: ClassVar[int] = 0

    def to_map(self, output: Tensor, size: Size) -> Features | None:
        """Return the output with its channels before its places."""
        return output.permute(0, 3, 1, 2) if output.ndim == 4 else None

    def from_map(self, features: Features, output: Tensor | None) -> Tensor:
        """Return the map with its channels last."""
        return features.permute(0, 2, 3, 1)


@dataclass(frozen=True)
class Tokens:
    """``[batch, prefix + patches, channels]``: class and register tokens, then patches row by row.

    Attributes:
        prefix: How many tokens come before the patches.
        grid: Gives the rows and columns of patches of an image of a height and width.
    """

    prefix: int
    grid: Callable[[Size], Size]

    def to_map(self, output: Tensor, size: Size) -> Features | None:
        """Return the patches on their grid; layers from before the prefix is added may lack it."""
        rows, columns = self.grid(size)
        if output.ndim != 3 or output.shape[1] - rows * columns not in (0, self.prefix):
            return None
        features: Features = output[:, -rows * columns :].transpose(1, 2).unflatten(2, (rows, columns))
        return features

    def from_map(self, features: Features, output: Tensor | None) -> Tensor:
        """Return the patches row by row, with the output's own prefix before them."""
        patches = features.flatten(2).transpose(1, 2)
        if output is None or output.shape[1] == patches.shape[1]:
            return patches
        return torch.cat([output[:, : -patches.shape[1]], patches], 1)


def layout_of(network: nn.Module) -> Layout:
    """Return how the outputs of a network of timm's convention lie over the image."""
    described = cast(Any, network)
    if hasattr(network, "num_prefix_tokens") and hasattr(getattr(network, "patch_embed", None), "dynamic_feat_size"):
        return Tokens(described.num_prefix_tokens, described.patch_embed.dynamic_feat_size)
    return ChannelsLast() if getattr(network, "output_fmt", "") == "NHWC" else ChannelsFirst()


def layer_before_the_patches_are_lost(network: nn.Module) -> str | None:
    """Return the layer to explain where the last one will not do; None where it will.

    A class token reads the patches for the last time in the last block's attention: what becomes of them afterwards
    changes no logit. What that attention sees is the output of the norm before it or, in blocks of another build, of
    the block before.
    """
    if getattr(network, "global_pool", "") != "token" or not isinstance(layout_of(network), Tokens):
        return None
    blocks = cast(nn.Sequential, network.blocks)
    begins_with, _ = next(blocks[-1].named_children())
    return f"blocks.{len(blocks) - 1}.norm1" if begins_with == "norm1" else f"blocks.{len(blocks) - 2}"


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """Return a layer by its name.

    Raises:
        InputError: With the nearest names, if there is none.
    """
    layers: dict[str, nn.Module] = dict(network.named_modules())
    if name not in layers or not name:
        raise InputError(f"the model has no layer '{name}'; {nearest(name, filter(None, layers))}")
    return layers[name]


class Seen(NamedTuple):
    """What was seen of a layer.

    Attributes:
        logits: Of the network, computed from the feature map.
        features: The layer's output as a feature map.
        output: The layer's output as the layers after it got it, computed from the feature map.
    """

    logits: Logits
    features: Features
    output: Tensor


def run_and_see(answer: Callable[[Images], Logits], network: nn.Module, name: str, images: Images) -> Seen:
    """Run once and return the logits with a layer's output, in one graph.

    Args:
        answer: Runs the network.
        network: What has the layer.
        name: The layer's name.
        images: What to answer.

    Raises:
        InputError: If there is no such layer, or if its output is no feature map.
    """
    layer = find_layer(network, name)
    layout = ChannelsFirst() if isinstance(layer, _CHANNELS_FIRST) else layout_of(network)
    seen: list[tuple[Features, Tensor]] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        features = map_of(output, layout, name, images)
        seen.append((features, layout.from_map(features, output)))
        return seen[-1][1]

    handle = layer.register_forward_hook(keep)
    try:
        logits = answer(images)
    finally:
        handle.remove()
    if not seen:
        raise InputError(f"expected layer '{name}' to give {_A_MAP}, but the model does not use it")
    return Seen(logits, *seen[-1])


def map_of(output: object, layout: Layout, name: str, images: Images) -> Features:
    """Return a layer's output as a feature map.

    Args:
        output: What the layer gave.
        layout: How it lies over the image.
        name: Of the layer.
        images: What the network was given.

    Raises:
        InputError: If it is no feature map.
    """
    # What has four dimensions inside an attention is laid out by heads and tokens.
    is_attention = isinstance(layout, ChannelsLast) and "attn" in name.split(".")[:-1]
    if isinstance(output, Tensor) and len(output) == len(images) and not is_attention:
        features = layout.to_map(output, (images.shape[2], images.shape[3]))
        if features is not None:
            return features
    raise InputError(f"expected layer '{name}' to give {_A_MAP}, got {kind(output)}")


def kind(value: object) -> str:
    """Say what a value is, for an error message."""
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
