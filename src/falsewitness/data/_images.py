"""From an image file of any kind to raw pixels."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from falsewitness.core import InputError

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
        resize: Whether to resize (bilinear, smoothed when shrinking; the sides' ratio is not kept) or to
            expect the size.

    Raises:
        InputError: If it is no image, is damaged, is suspiciously large, or has another size than expected.
    """
    from PIL import Image

    from falsewitness.core.images import on_white, read_image

    upright = on_white(read_image(source, where), channels)
    height, width = size
    if resize:
        upright = upright.resize((width, height), Image.Resampling.BILINEAR)
    elif upright.size != (width, height):
        raise InputError(f"{where}: expected {width}x{height} pixels, got {upright.width}x{upright.height}")
    pixels = np.array(upright, dtype=np.uint8).reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
