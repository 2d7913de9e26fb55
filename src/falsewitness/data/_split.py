"""The splits: which cached images are trained on, validated on and tested on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from falsewitness.core.targets import Targets

Rows = Int64[np.ndarray, " rows"]
Some = Int64[np.ndarray, " _"]


class ImageRows:
    """The images of some rows of the cache, read when they are asked for.

    Ask for ``images[3]``, ``images[10:20]``, ``images[array_of_positions]``, or all: ``np.asarray(images)``.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, cached: UInt8[np.ndarray, "cached channels height width"], rows: Rows) -> None:
        """Choose rows of the memory-mapped cache."""
        self._cached = cached
        self._rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        """``(images, channels, height, width)``."""
        return (len(self._rows), *self._cached.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, positions: int | slice | np.ndarray | list[int]) -> UInt8[np.ndarray, "..."]:
        """Read some images."""
        return np.asarray(self._cached[self._rows[positions]])

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("expected copy=None or copy=True: the rows of a split are gathered, which copies them")
        return self[:].astype(dtype or self.dtype, copy=False)


@dataclass(frozen=True)
class Split:
    """Images and labels of one part of a data set.

    Attributes:
        images: uint8 ``[rows, channels, height, width]``, read from the memory-mapped cache when indexed.
        targets: Their labels.
        rows: Which image of the data set each is: it stays the same whatever the split's seed.
    """

    images: ImageRows | UInt8[np.ndarray, "rows channels height width"]
    targets: Targets
    rows: Rows

    def in_memory(self) -> "Split":
        """Return the split with its images read, so that it can be sent to a machine that lacks the cache."""
        return Split(self.images[:], self.targets, self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def digest(self) -> str:
        """The sha256 of which images of the data set these are, in their order; hashed once."""
        return hashlib.sha256(np.ascontiguousarray(self.rows, dtype=np.int64).tobytes()).hexdigest()


def hold_out(rows: Rows, classes: Rows, share: float, seed: int) -> tuple[Some, Some]:
    """Draw the same share of every class, rounded, and at least one image on either side.

    Args:
        rows: What to draw from, ascending.
        classes: The class of each row; none with a single row.
        share: Of every class, between 0 and 1.
        seed: Decides which rows.

    Returns:
        The rows kept and the rows held out, both ascending.
    """
    counts = np.bincount(classes)
    per_class = np.clip(np.rint(share * counts), 1, counts - 1)
    held: Bool[np.ndarray, " rows"] = _rank_in_class(classes, seed) < per_class[classes]
    return rows[~held], rows[held]


def thin_out(rows: Rows, classes: Rows, limit: int, seed: int) -> Some:
    """Draw at most so many rows, in which the classes keep their shares and each at least one image.

    Args:
        rows: What to draw from, ascending.
        classes: The class of each row.
        limit: At least the number of classes.
        seed: Decides which rows.
    """
    # The image of rank r among n of its class stands at r/n of the class: taking images in this order draws
    # evenly, and the first of every class comes before any other.
    order = np.argsort(_rank_in_class(classes, seed) / np.bincount(classes)[classes], kind="stable")
    return np.sort(rows[order[:limit]])


def _rank_in_class(classes: Rows, seed: int) -> Rows:
    """Number the images of every class from 0 in random order."""
    # Raw bits stay the same in every version of numpy, which its shuffles do not promise.
    random_keys = np.random.PCG64(seed).random_raw(len(classes))
    order = np.lexsort((random_keys, classes))
    counts = np.bincount(classes)
    first_of_class = np.cumsum(counts) - counts
    rank = np.empty(len(classes), dtype=np.int64)
    rank[order] = np.arange(len(classes)) - first_of_class[classes[order]]
    return rank
