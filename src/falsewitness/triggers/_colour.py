"""Colours, in grey and in red, green and blue."""

from collections.abc import Iterator
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from falsewitness.core import DataInfo, Fault

Colour = Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(strict=False, min_length=1, max_length=3)]
"""One value for all channels, or one each: ``[1]`` is white, ``[1, 1, 0]`` yellow."""


def colour_faults(field: str, colour: Colour, info: DataInfo) -> Iterator[Fault]:
    """Yield a fault where a colour has neither one value nor one a channel."""
    if len(colour) not in (1, info.channels):
        wanted = "1 value for grey images" if info.channels == 1 else f"1 or {info.channels} values"
        yield Fault(field, f"expected {wanted}, got {len(colour)}")


def as_pixel(colour: Colour, info: DataInfo) -> Float[Tensor, "channels 1 1"]:
    """Return a colour that fits the images as one pixel of theirs."""
    return torch.tensor(colour, dtype=torch.float32).expand(info.channels)[:, None, None]
