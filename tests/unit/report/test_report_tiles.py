import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from falsewitness.report._tiles import colour_bar, edges, heat, heat_image, normalised, outline, photo


def decoded(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body, validate=True)))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_photo_keeps_every_pixel(channels: int, mode: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    picture = photo(image)
    found = decoded(picture.uri)

    assert (found.mode, found.size) == (mode, (7, 5))
    assert (picture.width, picture.height, picture.pixelated) == (7, 5, True)
    np.testing.assert_array_equal(np.asarray(found).reshape(5, 7, channels), np.moveaxis(image, 0, -1))


def test_a_very_large_photo_is_stored_smaller_but_drawn_at_its_size() -> None:
    picture = photo(np.zeros((1, 1024, 512), np.uint8))

    assert decoded(picture.uri).size == (160, 320)
    assert (picture.width, picture.height, picture.pixelated) == (512, 1024, False)


def test_equal_pictures_share_a_key_and_others_do_not() -> None:
    black, white = np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4), 255, np.uint8)

    assert photo(black).key == photo(black.copy()).key
    assert photo(black).key != photo(white).key
    assert photo(black).key != photo(np.zeros((3, 4, 4), np.uint8)).key


@given(arrays(np.float64, (3, 4), elements=st.floats(-5, 5, width=16)), st.floats(0.1, 100), st.floats(-50, 50))
def test_a_rising_map_is_seen_alike_at_any_scale_and_offset(
    saliency: NDArray[np.float64], factor: float, offset: float
) -> None:
    levels = normalised(saliency, "rising")
    if levels is None:
        assert saliency.min() == saliency.max()
        return
    assert (levels.min(), levels.max()) == (0, 1)
    moved = normalised(factor * saliency + offset, "rising")
    if moved is not None:
        np.testing.assert_allclose(moved, levels, atol=1e-6)


@given(arrays(np.float64, (3, 4), elements=st.floats(-5, 5, width=16)))
def test_a_signed_map_has_its_zero_in_the_middle(saliency: NDArray[np.float64]) -> None:
    levels = normalised(saliency, "signed")
    if levels is not None:
        np.testing.assert_allclose(levels - 0.5, saliency / (2 * np.abs(saliency).max()))


@pytest.mark.parametrize("saliency", [np.zeros((4, 4)), np.full((4, 4), 7.0), np.full((4, 4), np.nan)])
def test_a_map_without_contrast_has_no_picture(saliency: NDArray[np.float64]) -> None:
    assert heat(saliency.astype(np.float32), "rising", 32, 32) is None


def bilinear(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Bilinear enlargement written out, with half-pixel centres as in ``align_corners=False``."""
    found = np.empty((size, size))
    for y in range(size):
        for x in range(size):
            place = [min(max((i + 0.5) * len(values) / size - 0.5, 0), len(values) - 1) for i in (y, x)]
            (y0, x0), (fy, fx) = np.floor(place).astype(int), np.modf(place)[0]
            y1, x1 = min(y0 + 1, len(values) - 1), min(x0 + 1, len(values) - 1)
            found[y, x] = (1 - fy) * ((1 - fx) * values[y0, x0] + fx * values[y0, x1]) + fy * (
                (1 - fx) * values[y1, x0] + fx * values[y1, x1]
            )
    return found


def test_a_map_is_enlarged_bilinearly_before_it_is_coloured() -> None:
    saliency = np.random.default_rng(1).random((4, 4))
    picture = heat_image(saliency, "rising", 32, 32)
    levels = normalised(saliency, "rising")

    assert picture is not None
    assert levels is not None
    assert picture.size == (72, 72)
    np.testing.assert_allclose(np.asarray(picture), 63 * bilinear(levels, 72), atol=0.51)


def test_zero_is_transparent_in_a_signed_map_and_strength_is_not() -> None:
    saliency = np.zeros((2, 2))
    saliency[0, 0], saliency[1, 1] = 1, -1
    picture = heat_image(np.repeat(np.repeat(saliency, 16, 0), 16, 1), "signed", 32, 32)

    assert picture is not None
    found = np.asarray(picture.convert("RGBA"))
    assert found[4, -4, 3] < 25
    assert found[4, 4, 3] > 200
    assert found[-4, -4, 3] > 200
    assert found[4, 4, 0] > found[4, 4, 2]
    assert found[-4, -4, 2] > found[-4, -4, 0]


def test_a_map_is_drawn_at_the_size_of_its_image_and_keeps_its_shape() -> None:
    picture = heat(np.eye(4, dtype=np.float32), "rising", 300, 150)

    assert picture is not None
    assert (picture.width, picture.height) == (300, 150)
    assert decoded(picture.uri).size == (128, 64)


def test_the_colour_bar_rises_in_lightness() -> None:
    bar = np.asarray(decoded(colour_bar("rising").uri).convert("L"), dtype=np.int64)[0]

    assert bar[-1] > bar[0] + 80
    assert (np.diff(bar[16:]) >= 0).all()


def test_the_outline_of_a_square_is_its_four_sides() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:7] = True

    assert sorted(edges(mask)) == [((3, 2), (3, 5)), ((3, 2), (7, 2)), ((3, 5), (7, 5)), ((7, 2), (7, 5))]
    assert outline(mask).startswith("M3 2L7 2")


@given(arrays(bool, (5, 6)))
def test_an_outline_separates_exactly_the_trigger_from_the_rest(mask: NDArray[np.bool_]) -> None:
    if mask.mean() > 0.5:
        assert edges(mask) == []
        return
    padded = np.pad(mask, 1)
    wanted = {((x, y), (x + 1, y)) for y in range(6) for x in range(6) if padded[y, x + 1] != padded[y + 1, x + 1]} | {
        ((x, y), (x, y + 1)) for y in range(5) for x in range(7) if padded[y + 1, x] != padded[y + 1, x + 1]
    }
    units = {
        ((x, y), (x + (x1 > x0), y + (y1 > y0)))
        for (x0, y0), (x1, y1) in edges(mask)
        for x in range(x0, max(x1, x0 + 1))
        for y in range(y0, max(y1, y0 + 1))
    }
    assert units == wanted
