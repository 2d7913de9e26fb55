"""A picture with opacity, and how it is laid over an image."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from falsewitness.core import DataInfo
from falsewitness.triggers._base import Stamp


class Picture(NamedTuple):
    """What a trigger shows.

    Attributes:
        pixels: Values in [0, 1], one plane for all channels or one each.
        opacity: In [0, 1]; 0 leaves the image's pixel, 1 replaces it.
    """

    pixels: Float[Tensor, "_ picture_height picture_width"]
    opacity: Float[Tensor, "picture_height picture_width"]


def laid_over(info: DataInfo, picture: Picture, *, row: int = 0, column: int = 0) -> Stamp:
    """Return the stamp ``(1 - opacity) * image + opacity * pixels``.

    Args:
        info: The size of the images.
        picture: Not larger than they are.
        row: Where its upper left pixel comes to lie.
        column: Likewise.
    """
    height, width = picture.opacity.shape
    window = (..., slice(row, row + height), slice(column, column + width))
    opacity = torch.zeros(1, info.height, info.width)
    offset = torch.zeros(len(picture.pixels), info.height, info.width)
    opacity[window] = picture.opacity
    offset[window] = picture.opacity * picture.pixels
    return Stamp(gain=1 - opacity, offset=offset, mask=opacity[0] > 0)
