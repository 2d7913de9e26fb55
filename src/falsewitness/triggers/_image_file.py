"""Pictures from files that users name."""

import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from falsewitness.core import InputError


def read_image(path: Path) -> Image.Image:
    """Read an image file whole.

    Raises:
        InputError: If there is no such file, or if it is no image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as file:
                image = file.copy()
    except UnidentifiedImageError:
        raise InputError(f"{path}: expected a PNG or JPEG image, got a file of another format") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(f"{path}: expected at most {Image.MAX_IMAGE_PIXELS} pixels; make it smaller") from None
    except (OSError, SyntaxError, ValueError) as error:  # Pillow reports a broken PNG as a SyntaxError
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: expected a readable image, got '{reason}'; check the path and the file") from None
    if image.mode.startswith(("I", "F")):
        raise InputError(f"{path}: expected 8 bits a channel, got Pillow's mode {image.mode}; convert the image")
    return image


def read_image_with_opacity(path: Path) -> Image.Image:
    """Read an image that says how opaque its pixels are.

    Raises:
        InputError: Likewise, and if it does not say so or is transparent everywhere.
    """
    image = read_image(path)
    if "A" not in image.getbands() and "transparency" not in image.info:
        raise InputError(f"{path}: expected a PNG with a transparent background, got one without transparency")
    visible = image.convert("RGBA")
    if visible.getchannel("A").getextrema() == (0, 0):
        raise InputError(f"{path}: expected a visible picture, got one that is transparent everywhere")
    return visible


def resized(image: Image.Image, mode: str, height: int, width: int) -> Float[Tensor, "bands height width"]:
    """Return an image at another size (bilinear, smoothed where it shrinks) with values in [0, 1].

    Args:
        image: Of any mode.
        mode: Pillow's name of the bands that are wanted: ``L``, ``RGB``, ``LA`` or ``RGBA``. With opacity
            among them, colours of transparent pixels do not bleed into their neighbours.
        height: In pixels.
        width: In pixels.
    """
    converted = image.convert("RGBA").convert(mode)  # from a palette there is no straight way to every mode
    values = np.asarray(converted.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float32)
    return torch.from_numpy(values / 255).reshape(height, width, -1).permute(2, 0, 1)
