"""Finds images and labels in a set that has been opened."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64, UInt8

from falsewitness.core import DataInfo, InputError
from falsewitness.core.faults import nearest, shown
from falsewitness.data._folders import real_path
from falsewitness.data._images import read_pixels
from falsewitness.data._records import Records

if TYPE_CHECKING:
    from datasets import Dataset, Features


def find_image_column(features: "Features", name: str | None, where: str, remedy: str) -> str:
    """Return the column of images.

    Args:
        features: The types of the columns.
        name: What the user calls it; None to look for the only one of its type.
        where: What is read, for error messages.
        remedy: What to do where ``name`` is None and no column, or more than one, has the type.

    Raises:
        InputError: If there is no such column, or not exactly one.
    """
    from datasets import Image

    found = [column for column, kind in features.items() if isinstance(kind, Image) or _holds_bytes(kind)]
    return _the_column(features, name, found, "image", where, remedy)


def find_label_column(features: "Features", name: str | None, where: str, remedy: str) -> str:
    """Return the column of labels, likewise."""
    from datasets import ClassLabel

    found = [column for column, kind in features.items() if isinstance(kind, ClassLabel)]
    return _the_column(features, name, found, "label", where, remedy)


def _holds_bytes(kind: object) -> bool:
    """Tell whether a column is what images become in a file that does not say that they are images."""
    return isinstance(kind, dict) and kind.keys() == {"bytes", "path"}


def _the_column(features: "Features", name: str | None, found: list[str], what: str, where: str, remedy: str) -> str:
    if name is not None and name not in features:
        raise InputError(f"{where}: no column '{name}' (data.{what}_column); {nearest(name, features)}")
    if name is None and len(found) != 1:
        raise InputError(
            f"{where}: expected one {what} column, found {', '.join(found) or 'none'} among "
            f"{', '.join(features)}; {remedy}"
        )
    return name or found[0]


def find_class_names(train: "Dataset", column: str, where: str) -> tuple[str, ...]:
    """Return the names of the classes: as the set lists them, else the sorted values of the training split.

    Raises:
        InputError: If the column holds no single labels.
    """
    from datasets import ClassLabel, Value

    kind = train.features[column]
    if isinstance(kind, ClassLabel):
        names: tuple[object, ...] = tuple(kind.names or ())
        if len(names) < 2 or not all(isinstance(name, str) for name in names):
            raise InputError(
                f"{where}: expected the names of 2 classes or more in column '{column}', got "
                f"{shown(list(names)) if names else 'none'}; mend what the set says of it, or name another column"
            )
        return tuple(map(str, names))
    if isinstance(kind, Value) and kind.dtype.startswith(("int", "uint", "string", "large_string", "bool")):
        return tuple(str(value) for value in np.unique(np.array(_values(train, column, where))))
    raise InputError(f"{where}: expected one label an image in column '{column}', got {kind}; name another")


@dataclass(frozen=True)
class ImageTable:
    """Images and labels of the splits that are read.

    Attributes:
        splits: By name, the training split first.
        image_column: Where their images are.
        label_column: Where their labels are.
        where: What is read, for error messages.
        folders: Where image files that a cell names must lie; real paths.
    """

    splits: dict[str, "Dataset"]
    image_column: str
    label_column: str
    where: str
    folders: tuple[Path, ...]

    def records(self, info: DataInfo, *, resize: bool, revision: str, remarks: tuple[str, ...] = ()) -> Records:
        """Read the labels and make the images ready to be decoded.

        Args:
            info: Channels, size and classes of the result.
            resize: Whether to resize images or to expect the size.
            revision: The commit on the hub.
            remarks: What the user should know.

        Raises:
            InputError: If a label is missing or unknown.
        """
        return Records(
            info,
            np.concatenate([self._classes(split, info.class_names) for split in self.splits.values()]),
            train_rows=len(next(iter(self.splits.values()))),
            decode=self._decoder(info, resize=resize),
            remarks=remarks,
            revision=revision,
        )

    def _classes(self, split: "Dataset", names: tuple[str, ...]) -> Int64[np.ndarray, " rows"]:
        from datasets import ClassLabel

        values = _values(split, self.label_column, self.where)
        if isinstance(split.features[self.label_column], ClassLabel):
            return np.array(values, dtype=np.int64)
        index = {name: position for position, name in enumerate(names)}
        if unknown := [row for row, value in enumerate(values) if str(value) not in index]:
            raise InputError(
                f"{self.where}, split '{split.split}': label '{values[unknown[0]]}' in row {unknown[0]} does not occur "
                f"in the training split; remove its images from '{split.split}'"
            )
        return np.array([index[str(value)] for value in values], dtype=np.int64)

    def _decoder(self, info: DataInfo, *, resize: bool) -> Callable[[int], UInt8[np.ndarray, "_ height width"]]:
        places = [(name, row) for name, split in self.splits.items() for row in range(len(split))]
        cells = {name: split.data.column(self.image_column) for name, split in self.splits.items()}

        def decode(row: int) -> UInt8[np.ndarray, "_ height width"]:
            name, position = places[row]
            place = f"{self.where}, split '{name}', row {position}"
            source = _encoded(cells[name][position].as_py(), place, self.folders)
            return read_pixels(source, place, channels=info.channels, size=(info.height, info.width), resize=resize)

        return decode


def _values(split: "Dataset", column: str, where: str) -> list[object]:
    cells = split.data.column(column)
    if cells.null_count:
        first = cells.is_null().index(True).as_py()
        raise InputError(
            f"{where}, split '{split.split}': {cells.null_count} images have no label in column '{column}', the first "
            f"in row {first}; name another column or remove them"
        )
    return list(cells.to_pylist())


def _encoded(value: object, place: str, folders: tuple[Path, ...]) -> bytes | Path:
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or "\0" in value:
        raise InputError(f"{place}: expected an encoded image or its path, got {shown(value)}")
    file = real_path(Path(value))
    if not any(file.is_relative_to(folder) for folder in folders):
        raise InputError(
            f"{place}: names the file {file}, out of {folders[0]}; put the image itself into the row, or its file there"
        )
    return file
