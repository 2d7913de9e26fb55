"""From an image file that nobody vouches for to pixels of 8 bits."""

import io
import stat
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from falsewitness.core.errors import InputError

_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""No format whose reader starts other programs, as EPS does."""

_TOO_LARGE = "too large to be decoded safely: more than {} pixels; make it smaller"


def read_image(source: Path | bytes, where: str) -> Image.Image:
    """Decode one image.

    The camera's orientation is applied; 16 bits become 8; of several frames the first is taken.

    Args:
        source: A file, or its content.
        where: What to call the image in an error message.

    Returns:
        An image in Pillow's mode ``L`` or ``RGB``, or with transparency ``RGBA``.

    Raises:
        InputError: If it is no file, is no image, is damaged, or is suspiciously large: then nothing is decoded.
    """
    if isinstance(source, Path) and (problem := _no_file(source)):
        raise InputError(f"{where}: expected an image file, {problem}; check the path")
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as image:
            _refuse_bomb(image)
            ImageOps.exif_transpose(image, in_place=True)  # loads it, too: the file may be closed
            return _in_eight_bits(image)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except UnidentifiedImageError:
        found = "something else" if _has_content(source) else "an empty file"
        raise InputError(f"{where}: expected an image, got {found}; mend or remove it") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{where}: {_TOO_LARGE.format(Image.MAX_IMAGE_PIXELS)}") from None
    except Exception as error:  # Pillow's readers raise errors of any kind for a damaged file
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{where}: cannot be decoded ({reason}); mend or remove it") from error


def on_white(image: Image.Image, channels: int) -> Image.Image:
    """Return an image without transparency: what is transparent is laid on white.

    Args:
        image: As :func:`read_image` gives it.
        channels: 1 for grey (its brightness by ITU-R 601), 3 for RGB.
    """
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return _converted(image, "L" if channels == 1 else "RGB")


def _no_file(path: Path) -> str | None:
    """Tell what lies there if it is no file: a pipe would be waited for without end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        return f"got '{getattr(error, 'strerror', None) or error}'"
    if stat.S_ISREG(mode):
        return None
    return "got a folder" if stat.S_ISDIR(mode) else "got a pipe or a device"


def _has_content(source: Path | bytes) -> bool:
    return bool(source) if isinstance(source, bytes) else source.stat().st_size > 0


def _refuse_bomb(image: Image.Image) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise InputError(_TOO_LARGE.format(limit))


def _in_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _scaled(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode == "F":
        raise InputError("expected pixels of 8 or 16 bits, got floating-point numbers, whose range is unknown")
    return _converted(image, "L" if image.mode in ("1", "L") else "RGB")


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """Convert where that is needed: Pillow copies an image that has the mode already."""
    return image if image.mode == mode else image.convert(mode)


def _scaled(image: Image.Image) -> Image.Image:
    """Scale 16 bits to 8; Pillow's own conversion cuts everything above 255 off."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise InputError("expected pixels of 8 or 16 bits, got 32")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
