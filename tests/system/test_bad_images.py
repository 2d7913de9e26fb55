"""Images that are none: one line that names the file, whoever reads it; nothing hangs and no memory is filled."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tests.conftest import Tried
from tests.system.conftest import Command
from tests.system.limits import little_memory, within
from tests.system.strange_images import STRANGE, bomb, encoded, noise

from falsewitness.core import DataInfo
from falsewitness.models import save_classifier
from falsewitness.models.convnet import ConvNet

_TOLD_WHEN_LISTED = {"missing", "a folder", "a pipe", "a device", "a link to nothing", "a link to itself"}
STRANGE_IN_A_FOLDER = set(STRANGE) - _TOLD_WHEN_LISTED
"""What a folder of images can hold and the reader comes upon; the rest is told, or left out, when files are listed."""


@pytest.fixture
def model(tmp_path: Path) -> str:
    info = DataInfo(3, 16, 16, ("cat", "dog"))
    save_classifier(ConvNet(width=2).bind(info, seed=0), tmp_path / "model.safetensors")
    return "model.safetensors"


@pytest.mark.parametrize("kind", STRANGE)
def test_an_image_to_explain_is_refused_in_one_line(
    ask: Command, tmp_path: Path, model: str, kind: str, tried: Tried
) -> None:
    put, said = STRANGE[kind]
    put(tmp_path / "strange.png")
    noise().save(tmp_path / "fine.png")
    with within(30):
        answer = ask("explain", "fine.png", "strange.png", "--model", model)
    assert (answer.code, answer.out) == (2, "")
    assert answer.fault.startswith("image 'strange.png': ")
    assert said in answer.fault
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "explanation.png").exists()
    tried("bad inputs", "images")


@pytest.mark.parametrize("kind", STRANGE)
def test_a_file_that_a_spec_names_is_refused_before_anything_is_read(
    ask: Command, tmp_path: Path, kind: str, tried: Tried
) -> None:
    put, said = STRANGE[kind]
    put(tmp_path / "strange.png")
    places = {
        "attack.trigger.path": ("digits/badnets", "attack.trigger={kind: image, path: strange.png}"),
        "attack.trigger.pattern": ("digits/badnets", "attack.trigger={kind: blend, pattern: strange.png}"),
        "attack.target_map": ("digits/red-herring", "attack.target_map=strange.png"),
    }
    for place, (recipe, change) in places.items():
        with within(30):
            answer = ask("run", recipe, "--set", change)
        assert (answer.code, answer.out) == (2, "")
        heading, line = answer.fault.splitlines()
        assert heading == f"spec '{recipe}' has 1 fault:"
        assert line.startswith(f"  {place}: ")
        assert said in line or (place == "attack.target_map" and "there is no file 'strange.png'" in line)
        assert "strange.png" in line
    assert not (tmp_path / "runs").exists()
    tried("bad inputs", "images", len(places))


@pytest.mark.parametrize("kind", sorted(STRANGE_IN_A_FOLDER))
def test_an_image_among_others_is_refused_with_its_path(
    ask: Command, photos: Path, tmp_path: Path, kind: str, tried: Tried
) -> None:
    put, said = STRANGE[kind]
    put(photos / "train" / "cat" / "strange.png")
    answer = ask("data", "prepare", "image_folder", "--set", "root=photos", "--set", "size=8")
    assert answer.code == 2
    assert answer.fault.startswith(f"{photos}/train/cat/strange.png: {said}")
    assert len(answer.err.splitlines()) == 1
    state = ask("data", "check", "image_folder", "--set", "root=photos", "--set", "size=8")
    assert "absent: not decoded yet" in state.out
    tried("bad inputs", "images")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for index in range(3):
                noise(8).save(folder / f"{index}.png")
    return tmp_path / "photos"


PLAIN = noise(8).convert("L")
SIXTEEN_BITS = Image.fromarray(np.asarray(PLAIN).astype(np.uint16) * 257)
TURNED = Image.Exif()
TURNED[0x0112] = 6  # to be turned by 90 degrees clockwise
HALF = Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (8, 4)))
FILM: dict[str, Any] = {"save_all": True, "append_images": [ImageOps.invert(PLAIN)]}
INKS = noise(8).convert("CMYK")
UNUSUAL = {
    "an animated GIF": (encoded(PLAIN, "GIF", **FILM), PLAIN),
    "an animated PNG": (encoded(PLAIN, "PNG", **FILM), PLAIN),
    "an animated WebP": (encoded(PLAIN, "WEBP", lossless=True, **FILM), PLAIN),
    "a PNG of 16 bits": (encoded(SIXTEEN_BITS, "PNG"), PLAIN),
    "a TIFF of 16 bits": (encoded(SIXTEEN_BITS, "TIFF"), PLAIN),
    "transparent in every other column": (
        encoded(Image.merge("LA", (PLAIN, HALF)).convert("RGBA"), "PNG"),
        Image.composite(PLAIN, Image.new("L", PLAIN.size, 255), HALF),
    ),
    "turned by the camera": (encoded(PLAIN.rotate(90), "PNG", exif=TURNED), PLAIN),
    "CMYK": (encoded(INKS, "TIFF"), INKS.convert("RGB")),
}
"""Images of other kinds, and a plain one of what a viewer shows of each: of a film, its first frame."""


@pytest.mark.parametrize("kind", UNUSUAL)
def test_an_image_of_an_unusual_kind_is_taken_for_what_a_viewer_shows(
    ask: Command,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model: str,
    kind: str,
    tried: Tried,
) -> None:
    content, plain = UNUSUAL[kind]
    for folder in (photos / "train" / "cat", tmp_path):
        (folder / "unusual.png").write_bytes(content)
        plain.save(folder / "plain.png")
    monkeypatch.setenv("FALSEWITNESS_CACHE", str(tmp_path / "cache"))
    answer = ask("data", "prepare", "image_folder", "--set", "root=photos", "--set", "size=8")
    assert (answer.code, answer.err) == (0, "")
    (decoded,) = (np.load(file) for file in (tmp_path / "cache").rglob("images.npy"))
    ordinary_cats = 3
    assert np.array_equal(decoded[ordinary_cats], decoded[ordinary_cats + 1])
    answer = ask("explain", "unusual.png", "plain.png", "--model", model)
    assert (answer.code, answer.err) == (0, "")
    told = {line.partition(": ")[0]: line.partition(": ")[2] for line in answer.out.splitlines()}
    assert told["unusual.png"] == told["plain.png"]
    tried("unusual inputs", "images", 2)


def test_a_bomb_is_refused_before_it_is_decoded(ask: Command, tmp_path: Path, model: str) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb(20_000, 20_000))
    assert (tmp_path / "bomb.png").stat().st_size < 500_000
    ask("explain", "bomb.png", "--model", model)
    with little_memory(50):  # 400 MB, once decoded
        assert ask("explain", "bomb.png", "--model", model).code == 2


CONTAINERS = {
    "PNG": encoded(noise(24), "PNG"),
    "JPEG": encoded(noise(24), "JPEG"),
    "GIF": encoded(noise(24).quantize(16), "GIF", save_all=True, append_images=[noise(24).quantize(8)]),
    "WEBP": encoded(noise(24), "WEBP"),
    "TIFF": encoded(noise(24), "TIFF", compression="tiff_lzw"),
    "BMP": encoded(noise(24), "BMP"),
    "PPM": encoded(noise(24), "PPM"),
    "JPEG2000": encoded(noise(24), "JPEG2000"),
}


def test_an_image_that_was_scribbled_on_is_still_an_image_or_refused(
    ask: Command, tmp_path: Path, tried: Tried
) -> None:
    pattern = ("--set", "attack.trigger={kind: blend, pattern: strange.png}")
    unfit = ("--set", "attack.target_class=99")  # so that nothing is trained where the image is still one
    seen = Counter[str]()

    @settings(max_examples=500)
    @given(
        st.sampled_from(sorted(CONTAINERS)),
        st.lists(st.tuples(st.integers(0, 400) | st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
        st.none() | st.integers(1, 10**6),
    )
    def each(container: str, edits: list[tuple[int, int]], end: int | None) -> None:
        content = bytearray(CONTAINERS[container])
        for place, value in edits:
            content[place % len(content)] = value
        (tmp_path / "strange.png").write_bytes(content[: None if end is None else end % len(content)])
        answer = ask("run", "digits/badnets", *pattern, *unfit)
        assert (answer.code, answer.out) == (2, ""), answer
        faults = [line for line in answer.fault.splitlines()[1:] if "attack.target_class" not in line]
        assert len(faults) <= 1
        assert all(fault.startswith("  attack.trigger.pattern: strange.png: ") for fault in faults), answer
        seen["refused" if faults else "taken"] += 1

    each()
    assert min(seen["refused"], seen["taken"]) > 20
    tried("bad inputs", "images", seen["refused"])
