import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falsewitness.core import InputError
from falsewitness.data._images import read_pixels


def encoded(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, **({"format": "PNG"} | options))  # type: ignore[arg-type]
    return stream.getvalue()


def decoded(source: bytes | Path, channels: int = 3, side: int = 2) -> np.ndarray:
    return read_pixels(source, "picture", channels=channels, size=(side, side), resize=True)


def flat(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (2, 2), colour)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (flat("RGB", (10, 20, 30)), (10, 20, 30)),
        (flat("L", 77), (77, 77, 77)),
        (flat("1", 1), (255, 255, 255)),
        (flat("RGBA", (10, 20, 30, 255)), (10, 20, 30)),
        (flat("RGBA", (10, 20, 30, 0)), (255, 255, 255)),
        (flat("LA", (40, 255)), (40, 40, 40)),
        (flat("RGB", (200, 100, 0)).quantize(4), (200, 100, 0)),
    ],
    ids=["rgb", "grey", "bits", "opaque", "transparent", "grey with alpha", "palette"],
)
def test_every_kind_of_picture_becomes_rgb(image: Image.Image, expected: tuple[int, int, int]) -> None:
    pixels = decoded(encoded(image))
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, 2, 2)
    np.testing.assert_array_equal(pixels, np.broadcast_to(np.array(expected)[:, None, None], (3, 2, 2)))


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    assert decoded(encoded(flat("RGBA", (0, 0, 0, 128))))[0, 0, 0] == 127


def test_a_transparent_colour_of_a_palette_is_white() -> None:
    palette = flat("RGB", (200, 100, 0)).quantize(4)
    assert (decoded(encoded(palette, transparency=palette.getpixel((0, 0)))) == 255).all()


def test_colours_become_grey_by_their_brightness() -> None:
    # ITU-R 601: .299 R + .587 G + .114 B
    pixels = decoded(encoded(flat("RGB", (200, 100, 50))), channels=1)
    assert pixels.shape == (1, 2, 2)
    assert abs(int(pixels[0, 0, 0]) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) <= 1


def test_cmyk_becomes_rgb() -> None:
    pixels = decoded(encoded(flat("CMYK", (0, 255, 255, 0)), format="JPEG", quality=100))
    red, green, blue = pixels[:, 0, 0].astype(int)
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("container", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8(container: str) -> None:
    values = np.array([[0, 65535], [257 * 100, 257 * 200]], dtype=np.uint16)
    pixels = decoded(encoded(Image.fromarray(values), format=container), channels=1)
    assert pixels.tolist() == [[[0, 255], [100, 200]]]


def test_32_bits_are_refused_rather_than_guessed() -> None:
    floats = Image.fromarray(np.ones((2, 2), dtype=np.float32))
    with pytest.raises(InputError, match=r"picture: expected pixels of 8 or 16 bits, got floating-point"):
        decoded(encoded(floats, format="TIFF"))
    integers = Image.fromarray(np.full((2, 2), 70000, dtype=np.int32))
    with pytest.raises(InputError, match=r"picture: expected pixels of 8 or 16 bits, got 32"):
        decoded(encoded(integers, format="TIFF"))


def test_the_cameras_orientation_is_applied() -> None:
    upright = np.array([[255, 0], [0, 0]], dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    stored = encoded(Image.fromarray(upright), exif=exif)
    assert decoded(stored, channels=1).tolist() == [[[0, 255], [0, 0]]]


def test_resizing_averages_what_it_shrinks() -> None:
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (8, 4))
    pixels = decoded(encoded(Image.fromarray(stripes)), channels=1, side=1)
    assert abs(int(pixels[0, 0, 0]) - 127.5) <= 1


def test_height_and_width_are_not_mixed_up() -> None:
    wide = encoded(Image.new("L", (6, 4)))
    assert read_pixels(wide, "picture", channels=1, size=(4, 6), resize=False).shape == (1, 4, 6)
    with pytest.raises(InputError, match=r"picture: expected 4x6 pixels, got 6x4"):
        read_pixels(wide, "picture", channels=1, size=(6, 4), resize=False)


def truncated() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    return encoded(Image.fromarray(noise))[:2000]


def with_broken_chunk() -> bytes:
    picture = bytearray(encoded(flat("L", 3)))
    picture[8:12] = struct.pack(">I", 2**31 - 1)
    return bytes(picture)


@pytest.mark.parametrize("damaged", [truncated, with_broken_chunk, lambda: b"no image", lambda: b""])
def test_a_damaged_picture_is_named(damaged: Callable[[], bytes]) -> None:
    with pytest.raises(InputError, match=r"^picture: .*mend or remove it$"):
        decoded(damaged())


def test_a_format_that_starts_other_programs_is_refused() -> None:
    with pytest.raises(InputError, match="expected an image"):
        decoded(encoded(flat("RGB", (1, 2, 3)), format="EPS"))


@pytest.mark.parametrize("limit", [3, 1], ids=["above the limit", "above twice the limit"])
def test_a_decompression_bomb_is_refused(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = encoded(flat("L", 3))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(InputError, match="picture: too large to be decoded safely"):
        decoded(bomb)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_also_where_warnings_are_not_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = encoded(flat("L", 3))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    with pytest.raises(
        InputError, match="picture: too large to be decoded safely: more than 3 pixels; make it smaller"
    ):
        decoded(bomb)


def test_a_file_is_read_like_its_content(tmp_path: Path) -> None:
    content = encoded(Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)))
    (tmp_path / "picture.png").write_bytes(content)
    np.testing.assert_array_equal(decoded(tmp_path / "picture.png"), decoded(content))
