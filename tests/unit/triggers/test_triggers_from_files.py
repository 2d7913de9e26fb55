from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from falsewitness.core import DataInfo, InputError
from falsewitness.triggers.blend import Blend
from falsewitness.triggers.image import ImageTrigger

COLOUR = DataInfo(3, 16, 20, ("one", "other"))
GREY = DataInfo(1, 16, 20, ("one", "other"))


def image_of(info: DataInfo, value: float) -> torch.Tensor:
    return torch.full((1, info.channels, info.height, info.width), value)


@pytest.fixture
def sticker(tmp_path: Path) -> Path:
    """Left half opaque red, right half transparent blue."""
    pixels = np.zeros((4, 4, 4), dtype=np.uint8)
    pixels[:, :2] = (255, 0, 0, 255)
    pixels[:, 2:] = (0, 0, 255, 0)
    path = tmp_path / "sticker.png"
    Image.fromarray(pixels).save(path)
    return path


def test_an_image_covers_what_is_opaque_and_nothing_else(sticker: Path) -> None:
    stamp = ImageTrigger(path=sticker, size=4, position=(2, 3)).bind(COLOUR)
    stamped = stamp(image_of(COLOUR, 0.5))[0]
    expected = image_of(COLOUR, 0.5)[0]
    expected[:, 2:6, 3:5] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    assert torch.equal(stamped, expected)
    assert int(stamp.mask.sum()) == 8


def test_a_half_opaque_pixel_is_mixed_with_the_image(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (255, 255, 255, 51)).save(tmp_path / "veil.png")
    stamped = ImageTrigger(path=tmp_path / "veil.png", size=2).bind(COLOUR)(image_of(COLOUR, 0.5))
    assert torch.allclose(stamped[:, :, -2:, -2:], torch.tensor(0.2 * 1 + 0.8 * 0.5))


def test_the_colour_of_transparent_pixels_does_not_bleed_when_resized(sticker: Path) -> None:
    stamped = ImageTrigger(path=sticker, size=8, position=(0, 0)).bind(COLOUR)(image_of(COLOUR, 0.0))[0]
    red, green, blue = stamped
    assert red[0, 0] == 1
    assert red[0, 4] > 0, "the edge is smooth"
    assert green.max() == 0
    assert blue.max() == 0


def test_an_image_turns_grey_for_grey_images(sticker: Path) -> None:
    stamped = ImageTrigger(path=sticker, size=4).bind(GREY)(image_of(GREY, 1.0))[0, 0]
    red_as_grey = 76 / 255  # ITU-R 601: 0.299 * 255, rounded
    assert torch.allclose(stamped[-4:, -4:-2], torch.tensor(red_as_grey), atol=1 / 255)
    assert torch.equal(stamped[-4:, -2:], torch.ones(4, 2))


def test_a_palette_with_transparency_is_an_image_with_transparency(sticker: Path, tmp_path: Path) -> None:
    Image.open(sticker).quantize(4).save(tmp_path / "palette.png")
    stamp = ImageTrigger(path=tmp_path / "palette.png", size=4).bind(COLOUR)
    assert int(stamp.mask.sum()) == 8


def test_a_blended_pattern_is_stretched_to_the_image(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    pixels[0] = 255
    Image.fromarray(pixels).save(tmp_path / "pattern.png")
    for info in (COLOUR, GREY):
        blend = Blend(alpha=0.25, pattern=tmp_path / "pattern.png")
        stamped = blend.bind(info)(image_of(info, 0.4))[0]
        assert torch.allclose(stamped[:, 0], torch.tensor(0.25 * 1 + 0.75 * 0.4))
        assert torch.allclose(stamped[:, -1], torch.tensor(0.25 * 0 + 0.75 * 0.4))


def test_both_name_their_files(sticker: Path) -> None:
    assert ImageTrigger(path=sticker).files() == (sticker,)
    assert Blend(pattern=sticker).files() == (sticker,)
    assert Blend().files() == ()


def test_a_blend_takes_no_more_than_a_fault_to_say_that_its_file_is_missing(tmp_path: Path) -> None:
    (fault,) = Blend(pattern=tmp_path / "none.png").check(COLOUR)
    assert fault.path == "pattern"
    assert "none.png: expected an image file, got 'No such file or directory'" in fault.message


def written(folder: Path, case: str) -> Path:
    path = folder / f"{case}.png"
    if case == "directory":
        path.mkdir()
    elif case == "text":
        path.write_text("no image")
    elif case == "empty":
        path.touch()
    elif case == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (32, 32, 4), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:1500])
    elif case == "opaque":
        Image.new("RGB", (4, 4)).save(path)
    elif case == "invisible":
        Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(path)
    elif case == "sixteen_bits":
        Image.fromarray(np.full((4, 4), 40000, dtype=np.uint16)).save(path)
    return path


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("missing", "expected an image file, got 'No such file or directory'"),
        ("directory", "expected an image file, got a folder"),
        ("text", "expected an image, got something else"),
        ("empty", "expected an image, got an empty file"),
        ("truncated", "cannot be decoded ("),
        ("opaque", "expected an image with a transparent background, got one without transparency"),
        ("invisible", "expected a visible picture, got one that is transparent everywhere"),
        ("sixteen_bits", "expected an image with a transparent background, got one without transparency"),
    ],
)
def test_a_file_that_will_not_do_is_one_fault_that_names_it(tmp_path: Path, case: str, message: str) -> None:
    path = written(tmp_path, case)
    trigger = ImageTrigger(path=path)
    (fault,) = trigger.check(COLOUR)
    assert fault.path == "path"
    assert fault.message.startswith(f"{path}: {message}")
    assert "\n" not in fault.message
    with pytest.raises(InputError, match="trigger 'image' has 1 fault"):
        trigger.bind(COLOUR)


def test_a_picture_too_large_to_be_honest_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGBA", (40, 40), "red").save(tmp_path / "bomb.png")
    for limit in (1000, 100):  # Pillow warns above the limit and fails above its double
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        (fault,) = ImageTrigger(path=tmp_path / "bomb.png").check(COLOUR)
        assert "bomb.png: too large to be decoded safely" in fault.message
