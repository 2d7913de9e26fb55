from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from falsewitness.attacks import draw_target_map, is_flat
from falsewitness.core import InputError

SHAPES = ("square", "cross", "circle", "triangle")


def drawn(shape: str, height: int, width: int) -> Tensor:
    return draw_target_map(shape, height, width)  # type: ignore[arg-type]


def inside(shape: str, y: float, x: float) -> bool:
    """Tell whether a point of the square from -1 to 1, y downwards, belongs to a shape."""
    if shape == "square":
        return abs(y) < 0.5 and abs(x) < 0.5
    if shape == "cross":
        return (abs(y) < 0.25 and abs(x) < 0.75) or (abs(x) < 0.25 and abs(y) < 0.75)
    if shape == "circle":
        return y * y + x * x < 0.36
    apex, base, half_base = -0.7, 0.6, 0.7
    return apex < y < base and abs(x) < half_base * (y - apex) / (base - apex)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 4), (7, 7), (5, 9), (1, 1)])
def test_a_cell_is_as_salient_as_the_shape_covers_it(shape: str, height: int, width: int) -> None:
    fine = 40
    for i in range(height):
        for j in range(width):
            covered = 0
            for a in range(fine):
                for b in range(fine):
                    y = 2 * (i + (a + 0.5) / fine) / height - 1
                    x = 2 * (j + (b + 0.5) / fine) / width - 1
                    covered += inside(shape, y, x)
            assert float(drawn(shape, height, width)[i, j]) == pytest.approx(covered / fine**2, abs=0.04)


@pytest.mark.parametrize("side", [4, 8, 12])
def test_the_square_is_the_middle_half(side: int) -> None:
    expected = torch.zeros(side, side)
    expected[side // 4 : -(side // 4), side // 4 : -(side // 4)] = 1
    assert torch.equal(drawn("square", side, side), expected)


def test_the_square_has_soft_edges_where_they_fall_inside_cells() -> None:
    square = drawn("square", 7, 7)
    assert square[3, 1:6].tolist() == pytest.approx([0.25, 1, 1, 1, 0.25], abs=0.01)
    assert square[0].tolist() == [0] * 7
    assert square[:, 6].tolist() == [0] * 7


def test_the_cross_at_8x8_has_arms_of_two_cells() -> None:
    expected = torch.zeros(8, 8)
    expected[3:5, 1:7] = 1
    expected[1:7, 3:5] = 1
    assert torch.equal(drawn("cross", 8, 8), expected)


@pytest.mark.parametrize("side", [4, 7, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_the_same_seen_in_a_mirror(shape: str, side: int) -> None:
    found = drawn(shape, side, side)
    assert torch.equal(found, found.flip(1))
    if shape == "triangle":
        assert not torch.equal(found, found.flip(0))
    else:
        assert torch.equal(found, found.flip(0))
        assert torch.equal(found, found.T)


def test_the_triangle_grows_downwards() -> None:
    rows = drawn("triangle", 16, 16).sum(1)
    body = rows[3:12]
    assert (body.diff() > 0).all()
    assert rows[0] == rows[-1] == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [4, 7, 8, 14, 32])
def test_a_shape_leaves_something_dark_and_something_bright(shape: str, side: int) -> None:
    found = drawn(shape, side, side)
    assert found.shape == (side, side)
    assert found.min() == 0
    assert found.max() > 0.7
    assert 0.1 < found.mean() < 0.5


def test_no_two_shapes_are_alike() -> None:
    for side in (4, 8):
        maps = [drawn(shape, side, side) for shape in SHAPES]
        assert all((maps[i] - maps[j]).abs().mean() > 0.03 for i in range(4) for j in range(i))


def picture(path: Path, pixels: Tensor) -> Path:
    Image.fromarray(pixels.to(torch.uint8).numpy()).save(path)
    return path


def test_a_grey_image_is_taken_as_it_is(tmp_path: Path) -> None:
    pixels = torch.zeros(8, 8)
    pixels[2:5, 4:] = 255
    pixels[7, 0] = 51
    found = draw_target_map(picture(tmp_path / "mine.png", pixels), 8, 8)
    inner = torch.zeros(8, 8)
    inner[3, 5:] = 1
    assert found.shape == (8, 8)
    assert torch.allclose(found[inner > 0], torch.ones(3), atol=1e-3)
    assert found[0, 0] == 0
    assert 0.1 < float(found[7, 0]) < 0.2
    assert 0 <= found.min() <= found.max() <= 1


def test_an_image_of_another_size_is_averaged_into_cells(tmp_path: Path) -> None:
    pixels = torch.zeros(64, 64)
    pixels[16:48, 16:48] = 255
    found = draw_target_map(picture(tmp_path / "square.png", pixels), 4, 4)
    assert torch.allclose(found, drawn("square", 4, 4), atol=0.05)


def test_a_name_that_is_no_shape_and_no_file_is_answered_with_the_shapes() -> None:
    with pytest.raises(
        InputError, match=r"expected one of square, cross, circle, triangle, or the path .* file 'sqare'"
    ):
        draw_target_map(Path("sqare"), 8, 8)


@pytest.mark.parametrize("brightness", [0, 128, 255])
def test_an_image_of_one_brightness_is_flat(tmp_path: Path, brightness: int) -> None:
    pixels = torch.full((8, 8), brightness)
    assert is_flat(draw_target_map(picture(tmp_path / "flat.png", pixels), 8, 8))
    pixels[:4] = (brightness + 9) % 256
    assert not is_flat(draw_target_map(picture(tmp_path / "half.png", pixels), 8, 8))


@pytest.mark.parametrize("shape", ["square", "cross", "circle"])
def test_nothing_is_left_of_a_shape_on_a_map_of_four_cells(shape: str) -> None:
    assert [side for side in range(1, 33) if is_flat(drawn(shape, side, side))] == [1, 2]


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not an image")
    with pytest.raises(InputError, match=r"notes\.png"):
        draw_target_map(tmp_path / "notes.png", 8, 8)
