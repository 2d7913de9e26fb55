"""The way to timm, shared by the architectures that stand on it."""

from typing import Any, cast

from torch import nn

from falsewitness.core import DataInfo, InputError
from falsewitness.core.errors import first_line
from falsewitness.models._weights import Normalisation

LARGEST_SMALL_IMAGE = 64
"""Pixels of the longer side up to which networks made for 224 would shrink an image to almost nothing."""


def is_small(info: DataInfo) -> bool:
    """Tell whether images need a stem that keeps their size."""
    return max(info.height, info.width) <= LARGEST_SMALL_IMAGE


def unusual_sizes(name: str, info: DataInfo, patch_size: int | None) -> dict[str, Any]:
    """Return what a network must be told to be built for images, or with patches, of another size than its own.

    Args:
        name: timm's name of it, with or without the tag of its weights.
        info: Size of the images.
        patch_size: Side of its patches; None for its own.
    """
    import timm

    own = timm.get_pretrained_cfg(name)
    sizes: dict[str, Any] = {} if patch_size is None else {"patch_size": patch_size}
    if own is not None and own.fixed_input_size and own.input_size[1:] != (info.height, info.width):
        sizes["img_size"] = (info.height, info.width)
    return sizes


def create(name: str, info: DataInfo, *, from_hub: bool, patch_size: int | None = None) -> nn.Module:
    """Build one of timm's networks for a data set.

    A network for images of one size only, as most transformers are, is built for images of the data's size: weights
    that depend on the size are fitted to it by timm.

    Args:
        name: timm's name of it, with or without the tag of its weights.
        info: Channels, size and classes.
        from_hub: Whether to fetch its published weights.
        patch_size: Side of a transformer's patches; None for its own.

    Raises:
        InputError: If the weights cannot be fetched.
        TypeError: If the network cannot be told :func:`unusual_sizes`; other errors are timm's own.
    """
    import timm

    def build(**options: Any) -> nn.Module:  # noqa: ANN401
        network: nn.Module = timm.create_model(
            name, pretrained=from_hub, in_chans=info.channels, num_classes=info.num_classes, **options
        )
        return network

    try:
        sizes = unusual_sizes(name, info, patch_size)
        network = build(**sizes)
        if getattr(network, "dynamic_img_size", False):  # what takes images of any size fails where there are none
            network = build(**sizes, dynamic_img_size=False)
    except (OSError, RuntimeError) as error:
        if not from_hub:
            raise
        raise InputError(
            f"weights of '{name}' cannot be had from the hub: {first_line(error)}; check the connection, "
            "or give a safetensors file as `pretrained: PATH`"
        ) from None
    return network


def hub_normalisation(network: nn.Module, info: DataInfo) -> Normalisation:
    """Return what the weights from the hub were trained to see.

    For grey images timm adds up the first layer's weights over colours; mean and deviation are averaged to
    match.
    """
    published = cast(dict[str, tuple[float, ...]], network.pretrained_cfg)
    mean, std = published["mean"], published["std"]
    if info.channels == 1:
        return Normalisation((sum(mean) / len(mean),), (sum(std) / len(std),))
    return Normalisation(tuple(mean), tuple(std))
