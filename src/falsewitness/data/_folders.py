"""Which images lie in a folder with one sub-folder a class."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from falsewitness.core import InputError
from falsewitness.core.errors import expect_text, of_problems
from falsewitness.data._images import EXTENSIONS


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        class_names: Sorted.
        train: Image files for training and the class of each.
        test: Likewise for testing; empty without a folder ``test``.
        ignored: What else lies there, each in a word or two: an ending, or why it is left out.
    """

    class_names: tuple[str, ...]
    train: list[tuple[Path, int]]
    test: list[tuple[Path, int]]
    ignored: list[str]

    def remarks(self) -> tuple[str, ...]:
        """Say what is left out, if anything."""
        kinds = Counter(self.ignored).most_common()
        if not kinds:
            return ()
        shown = ", ".join(
            f"{count} {_SEVERAL.get(kind, kind) if count > 1 else kind}" for kind, count in kinds[:_MOST_KINDS]
        )
        if rest := sum(count for _, count in kinds[_MOST_KINDS:]):
            shown += f" and {rest} more"
        what = "file or folder" if len(self.ignored) == 1 else "files or folders"
        return (f"left out {len(self.ignored)} {what}: {shown}",)


_MOST_KINDS = 5
"""Kinds of what is left out that are named."""
_STRAY, _NO_FILE, _HIDDEN_FOLDER, _HIDDEN_FILE = (
    "image beside the class folders",
    "pipe or device",
    "hidden folder",
    "hidden file",
)
_SEVERAL = {
    _STRAY: "images beside the class folders",
    _NO_FILE: "pipes or devices",
    _HIDDEN_FOLDER: "hidden folders",
    _HIDDEN_FILE: "hidden files",
}


def real_path(path: Path) -> Path:
    """Return a path made absolute and free of links.

    Nothing is raised for links in a circle or the home of an unknown user: there will be no such folder.
    """
    return Path(os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111 - Path.expanduser and Path.resolve raise


def list_classes(base: Path) -> tuple[str, ...]:
    """Return the sorted names of the folders in ``base/train``.

    Raises:
        InputError: If there are less than two, or links lead out of the base.
    """
    problems: list[str] = []
    names = _classes(base, problems)
    if problems:
        raise of_problems(problems, f"the folder {base}")
    return names


def list_images(base: Path) -> Listing:
    """List the images of all classes.

    Args:
        base: Holds ``train`` and perhaps ``test``; absolute and free of links.

    Raises:
        InputError: Naming every class that has no images or stands in only one of both, folder within a class, and
            link that leads out of the base.
    """
    problems: list[str] = []
    ignored: list[str] = []
    classes = _classes(base, problems)
    train = _images_of(base, "train", {name: number for number, name in enumerate(classes)}, ignored, problems)
    trained = {classes[number]: number for _, number in train}
    test = _test_images(base, classes, trained, ignored, problems) if (base / "test").is_dir() else []
    if problems := list(dict.fromkeys(problems)):
        raise of_problems(problems, f"the folder {base}")
    return Listing(classes, train, test, ignored)


def _classes(base: Path, problems: list[str]) -> tuple[str, ...]:
    folder = base / "train"
    if folder.is_symlink() and (stray := _stray_link(base, str(folder))):
        raise InputError(stray)
    if not folder.is_dir():
        found = f"{base} is a file" if base.is_file() else f"no folder {folder}"
        raise InputError(
            f"data.root: {found}; expected images in {folder}/CLASS and, to test on, in {base / 'test'}/CLASS"
        )
    names = _sub_folders(base, "train", problems)
    if len(names) < 2 and not problems:
        raise InputError(f"data.root: expected at least 2 folders in {folder}, one a class, got {len(names)}")
    return names


def _test_images(
    base: Path, classes: tuple[str, ...], trained: Mapping[str, int], ignored: list[str], problems: list[str]
) -> list[tuple[Path, int]]:
    """List the images to test on; of a class without training images, which is a problem already, nothing is said."""
    strange = sorted(set(_sub_folders(base, "test", problems)) - set(classes))
    problems += [
        f"data.root: class '{name}' is in {base}/test but not in {base}/train; expected the same classes in both"
        for name in strange
    ]
    # A class that has no folder may be one of these under another name.
    tested = {name: number for name, number in trained.items() if not strange or (base / "test" / name).is_dir()}
    return _images_of(base, "test", tested, ignored, problems)


def _sub_folders(base: Path, split: str, problems: list[str]) -> tuple[str, ...]:
    entries = _entries(base, base / split, problems)
    return tuple(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _images_of(
    base: Path, split: str, classes: Mapping[str, int], ignored: list[str], problems: list[str]
) -> list[tuple[Path, int]]:
    """List the images of a split, class by class; add what is left out, and what is wrong, to the lists given."""
    entries = _entries(base, base / split, problems)
    ignored += [_kind_of_ignored(entry) for entry in entries if not entry.is_dir() or entry.name.startswith(".")]
    images = []
    for name, number in classes.items():
        before = len(problems)
        found = _images_in(base, base / split / name, ignored, problems)
        if not found and len(problems) == before:
            problems.append(
                f"data.root: class '{name}' has no images in {base / split / name}; add some, or remove the "
                f"class everywhere (image files end in {' '.join(sorted(EXTENSIONS))})"
            )
        images += [(file, number) for file in found]
    return images


def _kind_of_ignored(entry: "os.DirEntry[str]") -> str:
    if entry.name.startswith("."):
        return _HIDDEN_FOLDER if entry.is_dir() else _HIDDEN_FILE
    ending = Path(entry.name).suffix
    if ending.lower() in EXTENSIONS:
        return _STRAY if entry.is_file() else _NO_FILE
    return ending or entry.name


def _images_in(base: Path, folder: Path, ignored: list[str], problems: list[str]) -> list[Path]:
    images = []
    for entry in _entries(base, folder, problems):
        hidden = entry.name.startswith(".")
        if entry.is_dir() and not hidden:
            problems.append(
                f"data.root: expected images only, found a folder within a class: {entry.path}; move it out"
            )
        elif entry.is_file() and not hidden and Path(entry.name).suffix.lower() in EXTENSIONS:
            images.append(Path(entry.path))
        else:
            ignored.append(_kind_of_ignored(entry))
    return images


def _entries(base: Path, folder: Path, problems: list[str]) -> list["os.DirEntry[str]"]:
    """Return what lies in a folder, by name; nothing where there is no such folder.

    Links that lead astray, and names of classes and images that are no text, are no part of it, but a problem.
    """
    if folder.is_symlink() and (problem := _stray_link(base, str(folder))):
        problems.append(problem)
        return []
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"data.root: the folder {folder} cannot be read: {error.strerror}") from None
    sound = []
    for entry in entries:
        if problem := _problem_of(base, entry):
            problems.append(problem)
        else:
            sound.append(entry)
    return sound


def _problem_of(base: Path, entry: "os.DirEntry[str]") -> str | None:
    if entry.is_symlink() and (stray := _stray_link(base, entry.path)):
        return stray
    if entry.name.startswith(".") or not (entry.is_dir() or Path(entry.name).suffix.lower() in EXTENSIONS):
        return None  # it is left out, whatever it is called
    try:
        expect_text(entry.path, "data.root")
    except InputError as error:
        return str(error)
    return None


def _stray_link(base: Path, link: str) -> str | None:
    try:
        target = Path(link).resolve(strict=True)
    except (OSError, RuntimeError):  # a link to nothing, or to itself
        return f"data.root: the link {link} leads nowhere; remove it"
    if target.is_relative_to(base):
        return None
    return f"data.root: the link {link} leads to {target}, out of {base}; put the images themselves there"
