"""Folders of images as they come: what is refused in one line, what is left out and said, and names of all kinds."""

import os
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from unicodedata import category

import pytest
from tests.conftest import Tried
from tests.system.conftest import SMALL, Command, only
from tests.system.strange_images import noise

from falsewitness.core import DataInfo
from falsewitness.models import save_classifier
from falsewitness.models.convnet import ConvNet

SPLITS = {"train": 4, "test": 3}
PREPARE = ("data", "prepare", "image_folder", "--set", "root=photos", "--set", "size=8")


def classes(root: Path, *names: str) -> Path:
    for split, count in SPLITS.items():
        for name in names:
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                noise(8).save(folder / f"{index}.png")
    return root


def one_class(root: Path) -> None:
    for file in (root / "train" / "dog").iterdir():
        file.unlink()
    (root / "train" / "dog").rmdir()


def no_image_in_a_class(root: Path) -> None:
    for file in (root / "train" / "dog").iterdir():
        file.rename(file.with_suffix(".txt"))


def one_image_in_a_class(root: Path) -> None:
    for file in sorted((root / "train" / "dog").iterdir())[1:]:
        file.unlink()


def file_in_its_place(root: Path) -> None:
    root.rename(root.parent / "away")
    root.write_text("x")


def link_to_itself(root: Path) -> None:
    root.rename(root.parent / "away")
    root.symlink_to(root)


def put_elsewhere(folder: Path) -> None:
    away = folder.parent.parent / "away"
    folder.rename(away)
    folder.symlink_to(away)


def bad_bytes(path: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(path) + b"/" + name))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (lambda root: root.rename(root.parent / "away"), "no folder "),
    "a file in its place": (file_in_its_place, "photos is a file; expected images in "),
    "a link to itself": (link_to_itself, "photos/train; expected images in "),
    "no training images": (
        lambda root: (root / "train").rename(root / "training"),
        "photos/train; expected images in ",
    ),
    "training images from elsewhere": (lambda root: put_elsewhere(root / "train"), "photos/train leads to "),
    "test images from elsewhere": (lambda root: put_elsewhere(root / "test"), "photos/test leads to "),
    "an image from elsewhere": (
        lambda root: (root / "train" / "cat" / "link.png").symlink_to("/etc/passwd"),
        "photos/train/cat/link.png leads to /etc/passwd, out of ",
    ),
    "a link to nothing": (
        lambda root: (root / "train" / "cat" / "link.png").symlink_to("nothing"),
        "photos/train/cat/link.png leads nowhere",
    ),
    "a link in a circle": (
        lambda root: (root / "train" / "cat" / "link.png").symlink_to("link.png"),
        "photos/train/cat/link.png leads nowhere",
    ),
    "a folder in a circle": (
        lambda root: (root / "train" / "cat" / "again").symlink_to(root / "train"),
        "found a folder within a class: ",
    ),
    "one class": (one_class, "expected at least 2 folders in "),
    "no image in a class": (no_image_in_a_class, "class 'dog' has no images in "),
    "no image in a class to test on": (
        lambda root: [file.rename(file.with_suffix(".txt")) for file in (root / "test" / "dog").iterdir()],
        "class 'dog' has no images in ",
    ),
    "one image in a class": (one_image_in_a_class, "expected at least 2 training images of class 'dog'"),
    "another class to test on": (
        lambda root: (root / "test" / "dog").rename(root / "test" / "Dog"),
        "class 'Dog' is in ",
    ),
    "a class that is no UTF-8": (
        lambda root: bad_bytes(root / "train", b"caf\xe9").mkdir(),
        "expected names in UTF-8, got b'",
    ),
    "an image that is no UTF-8": (
        lambda root: noise(8).save(bad_bytes(root / "test" / "cat", b"caf\xe9.png"), "PNG"),
        "expected names in UTF-8, got b'",
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_folder_that_will_not_do_is_refused_in_one_line(
    ask: Command, tmp_path: Path, kind: str, tried: Tried
) -> None:
    spoil, said = SPOILT[kind]
    spoil(classes(tmp_path / "photos", "cat", "dog"))
    answer = ask(*PREPARE)
    assert answer.code == 2
    assert said in answer.fault
    assert answer.fault.startswith(("data.root: ", "data 'image_folder': "))
    assert len(answer.err.splitlines()) == 1
    tried("bad inputs", "images")


def test_what_is_no_image_is_left_out_and_said(ask: Command, tmp_path: Path) -> None:
    cats = classes(tmp_path / "photos", "cat", "dog") / "train" / "cat"
    (cats / "Thumbs.db").write_bytes(b"\xd0\xcf")
    (cats / ".DS_Store").write_bytes(b"x")
    (cats / ".hidden.png").write_bytes(b"x")
    (cats.parent / "notes.txt").write_text("x")
    (cats.parent / ".thumbnails").mkdir()
    os.mkfifo(cats / "pipe.png")
    answer = ask(*PREPARE)
    assert answer.code == 0, answer.err
    assert "left out 6 files or folders: 2 hidden files, 1 hidden folder, 1 .txt" in answer.out
    assert "6 training, 2 validation and 6 test images of 8x8x3 in 2 classes" in answer.out


def test_names_that_differ_in_case_alone_are_two(ask: Command, tmp_path: Path) -> None:
    cats = classes(tmp_path / "photos", "cat", "Cat") / "train" / "cat"
    noise(8).save(cats / "0.PNG")
    answer = ask(*PREPARE)
    assert "7 training, 2 validation and 6 test images of 8x8x3 in 2 classes" in answer.out


NAMES = (
    "<script>alert(1)<",
    "<img src=x onerror=alert(1)>",
    "a\"b'c",
    "&amp;",
    "new\nline",
    "\x1b[31mred",
    "\u05d0\u05d1\u05d2",
    "turned\u202etxet",
    "日本",
    "$\\frac$",
    "{{7*7}}",
    "{% raw %}",
    "100%",
    "-rf",
    "~",
    "..",
    "x" * 255,
)


def is_plain(text: str) -> bool:
    """Tell whether a text has no sign in it that a terminal obeys, but for line breaks."""
    return not any(category(sign) in ("Cc", "Cf", "Cs") for sign in text.replace("\n", ""))


class Page(HTMLParser):
    """Collects what a browser would run and what it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.scripts: list[str] = []
        self.handlers: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.shown += [value or "" for name, value in attrs if name in ("alt", "title", "aria-label")]

    def handle_data(self, data: str) -> None:
        (self.scripts if self._inside == "script" else self.shown).append(data)


def test_class_names_of_a_model_are_text_wherever_they_are_shown(ask: Command, tmp_path: Path, tried: Tried) -> None:
    save_classifier(ConvNet(width=2).bind(DataInfo(3, 16, 16, NAMES), seed=0), tmp_path / "model.safetensors")
    for number in range(4):
        noise(16).rotate(90 * number).save(tmp_path / f"{number}.png")
    before = {file.name for file in tmp_path.iterdir()}
    answer = ask("explain", *(f"{number}.png" for number in range(4)), "--model", "model.safetensors")
    assert (answer.code, answer.err) == (0, "")
    assert is_plain(answer.out)
    assert {file.name for file in tmp_path.iterdir()} == before | {"explanation.png"}
    tried("unusual inputs", "class names", len(NAMES))


def test_class_names_are_text_wherever_they_are_shown(ask: Command, tmp_path: Path, tried: Tried) -> None:
    names = [name for name in NAMES if name != ".."]
    classes(tmp_path / "photos", *names, ".hidden")
    data = ("--set", "data={kind: image_folder, root: photos, size: 16}")
    target = ("--set", f"attack.target_class={sorted(names).index(NAMES[0])}")
    small = [word for word in SMALL if word not in ("--set", "data.train_limit=200")]
    answer = ask("run", "digits/badnets", *data, *target, *(word for one in small for word in ("--set", one)))
    assert answer.code == 0, answer.err
    assert is_plain(answer.out)
    run = only(tmp_path / "runs", "digits-badnets-*")
    text = (run / "report.html").read_text()
    page = Page()
    page.feed(text)
    shown = " ".join("".join(page.shown).split())
    for name in names:
        assert " ".join("".join(sign if sign.isprintable() else " " for sign in name).split()) in shown
    assert not page.handlers
    assert not any("alert(1)" in script for script in page.scripts)
    assert not {"\u202e", "\x1b"} & set(text)

    tried("unusual inputs", "class names", len(names))

    photos = [tmp_path / f"{name[:200]}.png" for name in names]
    for photo in photos:
        noise(16).save(photo)
    answer = ask("explain", *photos, "--model", run)
    assert answer.code == 0, answer.err
    assert is_plain(answer.out)
    assert sum(line.endswith("%)") for line in answer.out.splitlines()) == len(photos)
