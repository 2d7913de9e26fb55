"""Decoded images on the disk: written once, verified at every opening, memory-mapped."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tokenize import TokenError

import numpy as np
from jaxtyping import Int64, UInt8
from pydantic import ValidationError

from falsewitness.core import DataInfo, Strict
from falsewitness.core.files import hold, open_file, read_bytes, remove, writing
from falsewitness.data._records import Origin, Records, Stamps, decoded_chunks

Progress = Callable[[int, int], None]
"""Called with the number of images decoded so far and the number of all."""

_REMEDY = "make room there, or let FALSEWITNESS_CACHE name another folder for decoded images"
_MANIFEST, _IMAGES, _LABELS = "manifest.json", "images.npy", "labels.npy"


class CacheState(StrEnum):
    """What became of a decoded copy."""

    ABSENT = "absent"
    WHOLE = "whole"
    DAMAGED = "damaged"
    STALE = "stale"


class Manifest(Strict):
    """What stands beside the decoded images."""

    location: str
    """Where the images came from."""

    revision: str
    """Which version of the set it was, where the source knows."""

    stamps: Stamps
    """The files they were decoded from."""

    class_names: tuple[str, ...]
    """One a class."""

    train_rows: int
    """How many of the images are for training; the rest is for testing."""

    images_sha256: str
    """Of the pixels, without the file's header."""

    labels_sha256: str
    """Of the labels, without the file's header."""

    fingerprint: str
    """Of the content: pixels, labels, class names and which images are for testing."""


@dataclass(frozen=True)
class CachedData:
    """A verified copy.

    Attributes:
        manifest: What is known of it.
        images: All images, memory-mapped, training images first.
        labels: Their classes.
    """

    manifest: Manifest
    images: UInt8[np.ndarray, "rows channels height width"]
    labels: Int64[np.ndarray, " rows"]

    @property
    def info(self) -> DataInfo:
        """Shape and classes."""
        _, channels, height, width = self.images.shape
        return DataInfo(channels, height, width, self.manifest.class_names)


@dataclass(frozen=True)
class CacheReport:
    """The state of a data set's decoded copy.

    Attributes:
        state: Absent, whole, damaged (not what was written) or stale (the source has changed since).
        folder: Where it is, or would be.
        detail: What is there or what is wrong, in a few words.
        data: The copy itself where it is whole.
    """

    state: CacheState
    folder: Path
    detail: str
    data: CachedData | None = None

    def __str__(self) -> str:
        return f"{self.state}: {self.detail} ({self.folder})"


def cache_root() -> Path:
    """Return the folder of decoded copies, in ``FALSEWITNESS_CACHE``, else in ``~/.cache/falsewitness``."""
    return Path(os.environ.get("FALSEWITNESS_CACHE") or "~/.cache/falsewitness").expanduser() / "data"


def inspect_cache(folder: Path, stamps: Stamps) -> CacheReport:
    """Open a copy and verify every byte of it.

    Args:
        folder: Where it is.
        stamps: The source files as they are now.
    """
    if not folder.exists():
        return CacheReport(CacheState.ABSENT, folder, "not decoded yet")
    try:
        manifest = read_manifest(folder)
        if manifest.stamps != stamps:
            return CacheReport(CacheState.STALE, folder, _describe_change(manifest.stamps, stamps))
        data = _open(folder, manifest)
    except OSError as error:
        problem = f"{Path(error.filename or folder).name} cannot be read ({error.strerror})"
        return CacheReport(CacheState.DAMAGED, folder, problem)
    except (ValueError, EOFError) as error:
        return CacheReport(CacheState.DAMAGED, folder, str(error))
    shape = "x".join(str(size) for size in data.images.shape[1:])
    detail = f"{len(data.labels)} images {shape}, {len(manifest.class_names)} classes, {manifest.fingerprint[:12]}"
    return CacheReport(CacheState.WHOLE, folder, detail, data)


def read_manifest(folder: Path) -> Manifest:
    """Read what is known of a copy, without verifying it.

    Raises:
        ValueError: If the manifest is not what was written.
        OSError: If it cannot be read.
    """
    try:
        return Manifest.model_validate_json(read_bytes(folder / _MANIFEST))
    except ValidationError:
        raise ValueError(f"{_MANIFEST} is not what was written") from None


def _describe_change(before: Stamps, now: Stamps) -> str:
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"the source has changed: {changed[0]}{more}"


def _open(folder: Path, manifest: Manifest) -> CachedData:
    images = _load(folder / _IMAGES, manifest.images_sha256)
    labels = _load(folder / _LABELS, manifest.labels_sha256)
    if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise ValueError(f"{_IMAGES} and {_LABELS} do not belong together")
    if manifest.fingerprint != _fingerprint(manifest, images.shape):
        raise ValueError(f"{_MANIFEST} is not what was written")
    return CachedData(manifest, images, labels)


def _fingerprint(manifest: Manifest, shape: tuple[int, ...]) -> str:
    content = [
        manifest.images_sha256,
        manifest.labels_sha256,
        shape,
        manifest.class_names,
        manifest.train_rows,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _load(file: Path, sha256: str) -> np.ndarray:
    try:
        open_file(file).close()  # numpy would wait for a pipe
        array = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, SyntaxError, TokenError):  # numpy gives a header to Python's own parsers
        raise ValueError(f"{file.name} is not what was written") from None
    if _sha256(array) != sha256:
        raise ValueError(f"{file.name} is not what was written")
    return array


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


@contextmanager
def sole_writer(folder: Path, notice: Callable[[str], None]) -> Iterator[None]:
    """Be the one process that may write a copy; the system lets others go on even if this one is killed.

    Args:
        folder: Where the copy is or shall be.
        notice: Told if another process is writing it and this one has to wait.

    Raises:
        RunFailedError: If the cache cannot be written.
    """
    with writing(folder.parent, _REMEDY):
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = hold(
            folder.with_name(f".{folder.name}.lock"),
            lambda: notice(f"waiting for another process that decodes {folder}"),
        )
    with held:
        yield


def write_cache(
    folder: Path,
    origin: Origin,
    read: Callable[[Path], Records],
    progress: Progress | None,
) -> None:
    """Decode a source; to be called by the copy's :func:`sole_writer`.

    The copy takes its name when it is whole, so that nobody ever sees half of it. What a killed process has left of
    one is removed.

    Args:
        folder: Where the copy shall be.
        origin: Where the images come from, as it was before anything is read.
        read: Opens the source, given an empty folder for what it must put down meanwhile.
        progress: Told how far it is.

    Raises:
        RunFailedError: If the cache cannot be written.
        InputError: For whatever is wrong with the source.
    """
    unfinished = folder.with_name(f".{folder.name}.partial")
    with writing(folder.parent, _REMEDY):
        try:
            remove(unfinished)
            scratch, copy = unfinished / "scratch", unfinished / "copy"
            for place in (scratch, copy):
                place.mkdir(parents=True)
            _write(copy, read(scratch), origin, progress)
            # Somebody may have open what is damaged or stale: it goes by another name first, and then for good.
            if folder.exists():
                folder.rename(unfinished / "aside")
            copy.rename(folder)
        finally:
            remove(unfinished)


def _write(copy: Path, records: Records, origin: Origin, progress: Progress | None) -> None:
    info = records.info
    shape = (len(records.labels), info.channels, info.height, info.width)
    unsigned = Manifest(
        location=origin.location,
        revision=records.revision,
        stamps=origin.stamps,
        class_names=info.class_names,
        train_rows=records.train_rows,
        images_sha256=_write_images(copy / _IMAGES, records, shape, progress),
        labels_sha256=_sha256(records.labels),
        fingerprint="",
    )
    manifest = unsigned.model_copy(update={"fingerprint": _fingerprint(unsigned, shape)})
    np.save(copy / _LABELS, records.labels)
    (copy / _MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")


def _write_images(file: Path, records: Records, shape: tuple[int, ...], progress: Progress | None) -> str:
    """Write image after image and return the sha256 of all."""
    # Not through a memory map: on a full disk that ends the process instead of raising an error.
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    digest, done = hashlib.sha256(), 0
    with file.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for chunk in decoded_chunks(records):
            digest.update(chunk.data)
            stream.write(chunk.data)
            done += len(chunk)
            if progress is not None:
                progress(done, len(records.labels))
    return digest.hexdigest()
