"""The way to timm, shared by the architectures that stand on it."""

from typing import cast

from torch import nn

from falsewitness.core import DataInfo, InputError
from falsewitness.models._weights import Normalisation

LARGEST_SMALL_IMAGE = 64
"""Pixels of the longer side up to which networks made for 224 would shrink an image to almost nothing."""


def is_small(info: DataInfo) -> bool:
    """Tell whether images need a stem that keeps their size."""
    return max(info.height, info.width) <= LARGEST_SMALL_IMAGE


def create(name: str, info: DataInfo, *, from_hub: bool) -> nn.Module:
    """Build one of timm's networks for a data set.

    Args:
        name: timm's name of it, with or without the tag of its weights.
        info: Channels and classes.
        from_hub: Whether to fetch its published weights.

    Raises:
        InputError: If the weights cannot be fetched.
    """
    import timm

    try:
        network: nn.Module = timm.create_model(
            name, pretrained=from_hub, in_chans=info.channels, num_classes=info.num_classes
        )
    except (OSError, RuntimeError) as error:
        if not from_hub:
            raise
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"weights of '{name}' cannot be had from the hub: {reason}; check the connection, "
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
