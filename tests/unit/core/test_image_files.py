"""Images from anywhere: what becomes of their pixels, whichever part reads them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from falsewitness.core import DataInfo
from falsewitness.data import read_pixels
from falsewitness.triggers.blend import Blend
from falsewitness.triggers.image import ImageTrigger

COLOUR = DataInfo(3, 2, 2, ("one", "other"))
RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


def flat(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (2, 2), colour)  # type: ignore[arg-type]


def encoded(image: Image.Image, container: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401
    stream = io.BytesIO()
    image.save(stream, container, **options)
    return stream.getvalue()


def film(container: str) -> bytes:
    """Two frames: red, then black."""
    return encoded(flat("RGB", RED), container, save_all=True, append_images=[flat("RGB", BLACK)], lossless=True)


def turned(orientation: int) -> bytes:
    """A camera's picture that is white above and black below when it is held as it was taken."""
    upright = Image.fromarray(np.array([[255, 255], [0, 0]], dtype=np.uint8))
    stored = upright.transpose({1: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}[orientation])
    exif = Image.Exif()
    exif[0x0112] = {1: 3, 6: 6}[orientation]
    return encoded(stored, exif=exif)


def sixteen_bits(value: int, mode: str = "uint16") -> bytes:
    return encoded(Image.fromarray(np.full((2, 2), value, dtype=mode)))


def of_palette(opacity: int) -> bytes:
    red = flat("RGB", RED).quantize(2)
    opacities = [255, 255]
    opacities[int(str(red.getpixel((0, 0))))] = opacity
    return encoded(red, transparency=bytes(opacities))


WHITE_ABOVE = [WHITE, WHITE, BLACK, BLACK]

PICTURES: dict[str, tuple[bytes, list[tuple[int, int, int]]]] = {
    "opaque": (encoded(flat("RGB", RED)), [RED] * 4),
    "half transparent on white": (encoded(flat("RGBA", (0, 0, 0, 51))), [(204, 204, 204)] * 4),
    "transparent on white": (encoded(flat("RGBA", (255, 0, 0, 0))), [WHITE] * 4),
    "an opaque palette": (encoded(flat("RGB", RED).quantize(2)), [RED] * 4),
    "a transparent palette": (of_palette(0), [WHITE] * 4),
    "a half transparent palette": (of_palette(51), [(255, 204, 204)] * 4),
    "a transparent colour": (encoded(flat("RGB", RED), transparency=RED), [WHITE] * 4),
    "upside down": (turned(1), WHITE_ABOVE),
    "lying": (turned(6), WHITE_ABOVE),
    "16 bits": (sixteen_bits(257 * 100), [(100, 100, 100)] * 4),
    "16 bits, bright": (sixteen_bits(65_535), [WHITE] * 4),
    "one bit": (encoded(flat("1", 1)), [WHITE] * 4),
    "CMYK": (encoded(flat("CMYK", (0, 0, 0, 255)), "TIFF"), [BLACK] * 4),
    "the first frame of a GIF": (film("GIF"), [RED] * 4),
    "the first frame of a PNG": (film("PNG"), [RED] * 4),
    "the first frame of a WebP": (film("WEBP"), [RED] * 4),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_data_and_patterns_see_the_same_pixels(tmp_path: Path, kind: str) -> None:
    content, expected = PICTURES[kind]
    (tmp_path / "picture.png").write_bytes(content)
    rows = np.array(expected, dtype=np.uint8).reshape(2, 2, 3).transpose(2, 0, 1)
    read = read_pixels(tmp_path / "picture.png", "picture", channels=3, size=(2, 2), resize=True)
    np.testing.assert_array_equal(read, rows)
    blended = Blend(alpha=1.0, pattern=tmp_path / "picture.png").bind(COLOUR)(torch.rand(1, 3, 2, 2))[0]
    torch.testing.assert_close(blended, torch.from_numpy(rows.copy()).float() / 255)


@pytest.mark.parametrize("kind", ["half transparent on white", "a half transparent palette"])
def test_a_picture_over_an_image_keeps_its_own_opacity(tmp_path: Path, kind: str) -> None:
    (tmp_path / "picture.png").write_bytes(PICTURES[kind][0])
    stamped = ImageTrigger(path=tmp_path / "picture.png", size=2).bind(COLOUR)(torch.full((1, 3, 2, 2), 0.5))[0]
    red = 1.0 if "palette" in kind else 0.0
    torch.testing.assert_close(stamped[:, 0, 0], torch.tensor([0.2 * red + 0.8 * 0.5, 0.4, 0.4]))


def test_a_turned_picture_over_an_image_is_set_upright(tmp_path: Path) -> None:
    upright = np.zeros((2, 2, 4), dtype=np.uint8)
    upright[0] = 255  # white above, nothing below
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(upright).transpose(Image.Transpose.ROTATE_180).save(tmp_path / "picture.png", exif=exif)
    stamped = ImageTrigger(path=tmp_path / "picture.png", size=2).bind(COLOUR)(torch.zeros(1, 3, 2, 2))[0]
    assert stamped[:, 0].eq(1).all()
    assert stamped[:, 1].eq(0).all()


def test_a_name_that_says_otherwise_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "picture.gif").write_bytes(encoded(flat("RGB", RED), "BMP"))
    pixels = read_pixels(tmp_path / "picture.gif", "picture", channels=3, size=(1, 1), resize=True)
    assert pixels.flatten().tolist() == [255, 0, 0]
