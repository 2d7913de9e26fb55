"""Reads the pictures of a run folder and checks that they belong together."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from falsewitness.core.errors import InputError
from falsewitness.core.files import open_file
from falsewitness.report._run import Data, Gallery, Prediction

GROUPS = ("shared", "success", "failure")
MODELS = ("clean", "attacked")
VIEWS = ("clean", "triggered")

Array = NDArray[Any]


def read_gallery(path: Path, data: Data, *, attacked: bool) -> Gallery:
    """Read a ``gallery.npz``.

    Args:
        path: The file.
        data: Size and classes of its images.
        attacked: Whether triggered images and both models' predictions must be there.

    Raises:
        InputError: If it is missing, is damaged or does not fit the data.
    """
    arrays = _Arrays(path, _load(path))
    samples = len(arrays.get("labels", "iu", (None,)))
    pixels = (samples, data.channels, data.height, data.width)
    classes = len(data.class_names)
    triggered = arrays.find("triggered", "u", pixels, required=attacked)
    mask = arrays.find("mask", "b", (data.height, data.width), required=attacked)
    return Gallery(
        images=arrays.get("images", "u", pixels),
        triggered=triggered,
        labels=arrays.classes("labels", samples, classes),
        index=arrays.get("index", "iu", (samples,)),
        group=arrays.words("group", samples, GROUPS),
        mask=mask,
        predictions={
            (model, view): prediction
            for model in MODELS
            for view in VIEWS
            if (prediction := _prediction(arrays, f"{model}/{view}", samples, classes, required=attacked))
        },
        maps=_maps(arrays, "maps", (samples, None, None)),
        columns=_maps(arrays, "columns", (samples, classes, None, None)),
        rules={
            key.removeprefix("rule/"): str(arrays.get(key, "U", ()))
            for key in arrays.content
            if key.startswith("rule/")
        },
    )


def _load(path: Path) -> dict[str, Array]:
    try:
        # numpy leaves a file open that it was given by name and finds damaged.
        with open_file(path) as stream, np.load(stream, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: the run is not complete; make it again or leave it out") from None
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        TypeError,
        AttributeError,
        SyntaxError,
        TokenError,
        BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(
            f"{path} is not a readable archive of arrays ({error}); make the run again or leave it out"
        ) from None


def _prediction(arrays: "_Arrays", which: str, samples: int, classes: int, *, required: bool) -> Prediction | None:
    if not required and f"predicted/{which}" not in arrays.content:
        return None
    return Prediction(
        classes=arrays.classes(f"predicted/{which}", samples, classes),
        confidences=arrays.get(f"confidence/{which}", "f", (samples,)),
    )


def _maps(arrays: "_Arrays", folder: str, shape: tuple[int | None, ...]) -> dict[tuple[str, str, str], Array]:
    maps: dict[tuple[str, str, str], Array] = {}
    for key in arrays.content:
        # An auditor's label may itself hold a slash, model and view never do.
        auditor, *rest = key.removeprefix(f"{folder}/").rsplit("/", 2)
        if key.startswith(f"{folder}/") and len(rest) == 2:
            maps[auditor, rest[0], rest[1]] = arrays.get(key, "f", shape)
    return maps


@dataclass(frozen=True)
class _Arrays:
    """The arrays of one file, handed out checked."""

    path: Path
    content: Mapping[str, Array]

    def get(self, key: str, kinds: str, shape: tuple[int | None, ...]) -> Array:
        """Return an array; ``kinds`` are numpy's letters for its type, None in ``shape`` is any length."""
        if key not in self.content:
            raise self.fault(f"has no array '{key}'")
        found = self.content[key]
        if found.dtype.kind not in kinds:
            raise self.fault(f"has '{key}' of type {found.dtype}, expected a kind among '{kinds}'")
        fits = found.ndim == len(shape) and all(b in (None, a) for a, b in zip(found.shape, shape, strict=True))
        if not fits or 0 in found.shape[1:]:
            wanted = tuple("any" if length is None else length for length in shape)
            raise self.fault(f"has '{key}' of shape {found.shape}, expected {wanted}")
        return found

    def find(self, key: str, kinds: str, shape: tuple[int | None, ...], *, required: bool) -> Array | None:
        """Return an array, or None where it is neither there nor required."""
        return self.get(key, kinds, shape) if required or key in self.content else None

    def classes(self, key: str, samples: int, classes: int) -> Array:
        """Return an array of class numbers."""
        found = self.get(key, "iu", (samples,))
        if samples and (found.min() < 0 or found.max() >= classes):
            raise self.fault(f"has classes from {found.min()} to {found.max()} in '{key}', expected 0 to {classes - 1}")
        return found

    def words(self, key: str, samples: int, choices: tuple[str, ...]) -> tuple[str, ...]:
        """Return an array of words out of a few."""
        found = tuple(str(word) for word in self.get(key, "U", (samples,)))
        if unknown := set(found) - set(choices):
            raise self.fault(f"has {sorted(unknown)} in '{key}', expected {', '.join(choices)}")
        return found

    def fault(self, problem: str) -> InputError:
        """Return the error for a file that is not what it should be."""
        return InputError(f"{self.path} {problem}; make the run again or leave it out")
