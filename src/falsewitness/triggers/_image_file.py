"""Pictures from files that users name."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from falsewitness.core import InputError
from falsewitness.core.images import on_white, read_image


def read_opaque(path: Path, channels: int) -> Image.Image:
    """Read an image; what is transparent is laid on white.

    Args:
        path: The file.
        channels: 1 for grey, 3 for RGB.

    Raises:
        InputError: If there is no such file, or if it is no image.
    """
    return on_white(read_image(path, str(path)), channels)


def read_with_opacity(path: Path) -> Image.Image:
    """Read an image that says how opaque its pixels are, in RGBA.

    Raises:
        InputError: Likewise, and if it does not say so or is transparent everywhere.
    """
    image = read_image(path, str(path))
    if image.mode != "RGBA":
        raise InputError(f"{path}: expected an image with a transparent background, got one without transparency")
    if image.getchannel("A").getextrema() == (0, 0):
        raise InputError(f"{path}: expected a visible picture, got one that is transparent everywhere")
    return image


def resized(image: Image.Image, height: int, width: int) -> Float[Tensor, "bands height width"]:
    """Return an image at another size (bilinear, smoothed where it shrinks) with values in [0, 1].

    With opacity among the bands, colours of transparent pixels do not bleed into their neighbours.

    Args:
        image: In Pillow's mode ``L``, ``RGB``, ``LA`` or ``RGBA``.
        height: In pixels.
        width: In pixels.
    """
    values = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
    return torch.from_numpy(values / 255).reshape(height, width, -1).permute(2, 0, 1)
