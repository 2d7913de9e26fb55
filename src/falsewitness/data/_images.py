"""From an image file of any kind to raw pixels."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from falsewitness.core import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = frozenset(
    {".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


def read_pixels(
    source: Path | bytes, where: str, *, channels: int, size: tuple[int, int], resize: bool
) -> UInt8[np.ndarray, "channels height width"]:
    """Decode one image.

    The camera's orientation is applied; what is transparent is laid on white; 16 bits become 8; palettes,
    CMYK and the like become RGB, or grey where one channel is wanted; of several frames the first is taken.

    Args:
        source: A file, or its content.
        where: What to call the image in an error message.
        channels: 1 for grey, 3 for RGB.
        size: Height and width of the result.
        resize: Whether to resize as :func:`resized_pixels` does or to expect the size.

    Raises:
        InputError: If it is no image, is damaged, is suspiciously large, or has another size than expected.
    """
    from falsewitness.core.images import on_white, read_image

    upright = on_white(read_image(source, where), channels)
    height, width = size
    if not resize and upright.size != (width, height):
        raise InputError(
            f"{where}: expected {width}x{height} pixels, got {upright.width}x{upright.height}; bring all images to one "
            "size"
        )
    return resized_pixels(upright, size)


def resized_pixels(image: "Image", size: tuple[int, int]) -> UInt8[np.ndarray, "channels height width"]:
    """Return an image's pixels, resized where it has another size (bilinear, smoothed when shrinking).

    Args:
        image: Grey or RGB, as :func:`falsewitness.core.images.on_white` gives it.
        size: Height and width of the result; the sides' ratio is not kept.
    """
    from PIL.Image import Resampling

    height, width = size
    fitting = image if image.size == (width, height) else image.resize((width, height), Resampling.BILINEAR)
    pixels = np.array(fitting, dtype=np.uint8).reshape(height, width, -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
