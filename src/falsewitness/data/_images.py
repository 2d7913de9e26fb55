"""From an image file of any kind to raw pixels."""

import io
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
_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""No format whose reader starts other programs, as EPS does."""


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
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as image:
            _refuse_bomb(image)
            upright = _converted(image, "L" if channels == 1 else "RGB")
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except UnidentifiedImageError:
        raise InputError(f"{where}: expected an image, got something else; mend or remove it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{where}: too large to be decoded safely: {error}") from None
    except Exception as error:  # Pillow's readers raise errors of any kind for a damaged file
        raise InputError(f"{where}: cannot be decoded ({error}); mend or remove it") from error
    height, width = size
    if resize:
        upright = upright.resize((width, height), Image.Resampling.BILINEAR)
    elif upright.size != (width, height):
        raise InputError(f"{where}: expected {width}x{height} pixels, got {upright.width}x{upright.height}")
    pixels = np.array(upright, dtype=np.uint8).reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _refuse_bomb(image: "Image") -> None:
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise InputError(f"too large to be decoded safely: {image.width}x{image.height}, more than {limit} pixels")


def _converted(image: "Image", mode: str) -> "Image":
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    if image.mode == "F":
        raise InputError("expected pixels of 8 or 16 bits, got floating-point numbers, whose range is unknown")
    return image.convert("RGB").convert(mode) if image.mode not in ("1", "L", "RGB") else image.convert(mode)


def _eight_bits(image: "Image") -> "Image":
    """Scale 16 bits to 8; Pillow's own conversion cuts everything above 255 off."""
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise InputError("expected pixels of 8 or 16 bits, got 32")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
