"""What a source hands to the cache: labels, and images that are decoded one by one when asked for."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from falsewitness.core import DataInfo, InputError
from falsewitness.core.errors import MOST_FAULTS_SHOWN, of_problems

_CHUNK_BYTES = 2**20
_MOST_IMAGES_A_CHUNK = 256
_CHUNKS_AHEAD_A_WORKER = 4

Chunk = UInt8[np.ndarray, "chunk channels height width"]

Stamps = dict[str, tuple[int, int]]
"""The :func:`stamp` of every source file, by name."""


def stamp(file: Path) -> tuple[int, int]:
    """Return a file's size in bytes and time of change in nanoseconds."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Origin:
    """Where a source's images are, without having read any.

    Attributes:
        location: A folder, or the name of a set on a hub.
        stamps: The files there; empty where they cannot change (a set on the hub, a set inside a package).
    """

    location: str
    stamps: Stamps = field(default_factory=dict)


@dataclass(frozen=True)
class Records:
    """A source that has been opened: training images first, then test images.

    Attributes:
        info: Shape of the decoded images, and classes in label order.
        labels: The class of every image.
        train_rows: How many of them are for training; the rest is the source's own test split, perhaps empty.
        decode: Gives the pixels of an image by its row; called from many threads.
        remarks: What the user should know, such as files that were ignored.
        revision: Which version of the set it is, where the source knows.
    """

    info: DataInfo
    labels: Int64[np.ndarray, " rows"]
    train_rows: int
    decode: Callable[[int], UInt8[np.ndarray, "channels height width"]]
    remarks: tuple[str, ...] = ()
    revision: str = ""

    def checked(self, where: str) -> "Records":
        """Return itself.

        Raises:
            InputError: If there is nothing to train on or a label is not among the classes.
        """
        if self.train_rows == 0:
            raise InputError(f"{where}: expected training images, found none")
        strange = np.flatnonzero((self.labels < 0) | (self.labels >= self.info.num_classes))
        if len(strange):
            first = int(strange[0])
            part, row = ("training", first) if first < self.train_rows else ("test", first - self.train_rows)
            more = f" and {len(strange) - 1} more of that kind" if len(strange) > 1 else ""
            hidden = "a split with hidden labels (-1) cannot be used" if self.labels[first] == -1 else ""
            raise InputError(
                f"{where}: expected labels from 0 to {self.info.num_classes - 1}, got {self.labels[first]} in row "
                f"{row} of the {part} images{more}; {hidden or 'correct them, or take the images away'}"
            )
        return self


def decoded_chunks(records: Records) -> Iterator[Chunk]:
    """Decode all images in order, on all processors: Pillow lets go of the interpreter while it decodes.

    Args:
        records: The opened source.

    Raises:
        InputError: Naming every image that cannot be decoded.
        ValueError: If the source decodes to another shape than it says.
    """
    bad: list[str] = []
    looked_at, total = 0, len(records.labels)
    with closing(_decoded(records)) as decoded:
        for chunk, problems in decoded:
            bad += problems
            looked_at += len(chunk)
            if not bad:
                yield chunk
            elif len(bad) >= MOST_FAULTS_SHOWN:  # until then the others are looked through, to be named, too
                break
    if bad:
        part = "" if looked_at == total else f", of which {looked_at} were looked at,"
        raise of_problems(bad, f"the set of {total} images{part}")


def _decoded(records: Records) -> Generator[tuple[Chunk, list[str]], None, None]:
    """Yield what :func:`_decode_rows` returns, in order."""
    image_bytes = records.info.channels * records.info.height * records.info.width
    step = max(1, min(_MOST_IMAGES_A_CHUNK, _CHUNK_BYTES // image_bytes))
    workers = os.cpu_count() or 1
    pending: deque[Future[tuple[Chunk, list[str]]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for start in range(0, len(records.labels), step):
            rows = range(start, min(start + step, len(records.labels)))
            pending.append(pool.submit(_decode_rows, records, rows))
            if len(pending) > workers * _CHUNKS_AHEAD_A_WORKER:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_rows(records: Records, rows: range) -> tuple[Chunk, list[str]]:
    """Return the pixels of some images, and what is wrong with those that cannot be decoded."""
    expected = (records.info.channels, records.info.height, records.info.width)
    chunk = np.empty((len(rows), *expected), dtype=np.uint8)
    bad: list[str] = []
    for position, row in enumerate(rows):
        try:
            pixels = records.decode(row)
        except InputError as error:
            bad.append(str(error))  # not the error itself, which would hold on to the image
            continue
        if pixels.shape != expected or pixels.dtype != np.uint8:
            raise ValueError(f"expected uint8 pixels of shape {expected}, got {pixels.dtype} {pixels.shape}")
        chunk[position] = pixels
    return chunk, bad
