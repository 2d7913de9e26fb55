"""Files that are no images, or none to be trusted, under an image's name."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Put = Callable[[Path], object]


def noise(side: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def encoded(image: Image.Image, container: str, **options: Any) -> bytes:  # noqa: ANN401
    stream = io.BytesIO()
    image.save(stream, container, **options)
    return stream.getvalue()


def png(width: int, height: int, bits: int, colour: int, pixels: bytes) -> bytes:
    """Write a PNG by hand, whatever it promises."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels, 1)) + chunk(b"IEND", b"")


def bomb(width: int, height: int) -> bytes:
    """A sound PNG of one bit a pixel, all black: a few thousand bytes that decode to a byte a pixel."""
    return png(width, height, 1, 0, bytes((1 + width // 8) * height))


def _linked_to(target: str) -> Put:
    return lambda path: path.symlink_to(target)


def _written(content: bytes) -> Put:
    return lambda path: path.write_bytes(content)


STRANGE: dict[str, tuple[Put, str]] = {
    "missing": (lambda path: None, "expected an image file, got 'No such file or directory'"),
    "empty": (_written(b""), "expected an image, got an empty file"),
    "text": (_written(b"not an image\n"), "expected an image, got something else"),
    "a zip archive": (_written(b"PK\x03\x04" + bytes(100)), "expected an image, got something else"),
    "HTML": (_written(b"<!DOCTYPE html><title>404</title>"), "expected an image, got something else"),
    "a drawing (SVG)": (_written(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), "expected an image, got something"),
    "a program in PostScript": (
        _written(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(pwned) (w) file\n"),
        "expected an image, got something else",
    ),
    "a PNG cut short": (_written(encoded(noise(), "PNG")[:3000]), "cannot be decoded (image file is truncated"),
    "a JPEG cut short": (_written(encoded(noise(), "JPEG")[:1500]), "cannot be decoded (image file is truncated"),
    "a WebP cut short": (_written(encoded(noise(), "WEBP")[:900]), "cannot be decoded ("),
    "a TIFF cut short": (_written(encoded(noise(), "TIFF")[:5000]), "cannot be decoded ("),
    "a header alone": (_written(png(9, 9, 8, 2, b"")), "cannot be decoded ("),
    "no pixels": (_written(png(0, 5, 8, 2, b"")), "expected an image, got something else"),
    "20,000 pixels wide and high": (_written(bomb(20_000, 20_000)), "too large to be decoded safely: more than"),
    "a wide bomb": (_written(bomb(1_000_000, 100)), "too large to be decoded safely: more than"),
    "a promise of 4 billion pixels": (_written(png(65_535, 65_535, 8, 2, b"x")), "too large to be decoded safely"),
    "floating-point numbers": (
        _written(encoded(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF")),
        "expected pixels of 8 or 16 bits, got floating-point numbers",
    ),
    "32 bits": (
        _written(encoded(Image.fromarray(np.full((9, 9), 70_000, np.int32)), "TIFF")),
        "expected pixels of 8 or 16 bits, got 32",
    ),
    "a folder": (Path.mkdir, "expected an image file, got a folder"),
    "a pipe": (os.mkfifo, "expected an image file, got a pipe or a device"),
    "a device": (_linked_to("/dev/zero"), "expected an image file, got a pipe or a device"),
    "a link to nothing": (_linked_to("nothing"), "expected an image file, got 'No such file or directory'"),
    "a link to itself": (_linked_to("strange.png"), "expected an image file, got 'Too many levels of symbolic links'"),
}
"""How each is made, and what has to be said of it."""
