"""Files that are either whole or not there, and folders that one process works on at a time."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TextIO

from falsewitness.core.errors import RunFailedError


class IrregularFileError(OSError):
    """What has a file's name is a pipe, a socket or a device: it may never end."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.EINVAL, "a pipe or a device", path)


def open_file(path: Path) -> BufferedReader:
    """Open a file to be read from; what never ends is refused and never waited for.

    Raises:
        IrregularFileError: If it is a pipe, a socket or a device.
        OSError: If it cannot be opened.
    """
    return open(path, "rb", opener=_opened_without_waiting)


def read_bytes(path: Path) -> bytes:
    """Return a file's content; raises as :func:`open_file` does."""
    with open_file(path) as file:
        return file.read()


def read_text(path: Path) -> str:
    """Return a text file's content.

    Raises:
        OSError: As :func:`open_file`.
        UnicodeDecodeError: If it is not UTF-8.
    """
    return read_bytes(path).decode("utf-8")


def what_lies_at(path: PathLike[str] | str) -> Literal["nothing", "a file", "a folder", "a pipe or a device"]:
    """Return in words what has a name.

    Raises:
        OSError: If that cannot be seen: a folder on the way may not be entered, or the name is too long.
    """
    try:
        kind = os.stat(path).st_mode  # noqa: PTH116 - of no name Path makes the current folder
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "nothing"
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "nothing"
        raise
    return "a file" if stat.S_ISREG(kind) else "a folder" if stat.S_ISDIR(kind) else "a pipe or a device"


def read_json(path: Path) -> Any:  # noqa: ANN401 - it may hold anything
    """Return what a JSON file holds.

    Raises:
        OSError: As :func:`open_file`.
        ValueError: If it is not JSON in UTF-8, or deeper than any of ours.
    """
    try:
        return json.loads(read_text(path))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _opened_without_waiting(path: str, flags: int) -> int:
    """Open a file as ``open`` would, but for what is no file: a reader or writer may wait for it without end."""
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody reads
            raise IrregularFileError(path) from None
        raise
    kind = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # of a folder, ``open`` itself says that it is one
        os.close(descriptor)
        raise IrregularFileError(path)
    return descriptor


@contextmanager
def writing(place: Path, remedy: str = "make room or choose another folder, then run again") -> Iterator[None]:
    """Tell in one line what the system refuses while a place is written.

    Args:
        place: What cannot be written then.
        remedy: What to do about it.

    Raises:
        RunFailedError: For every error of the system in the block.
    """
    try:
        yield
    except OSError as error:
        raise RunFailedError(f"'{place}' cannot be written: {error.strerror or error}; {remedy}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` when the block ends well.

    A reader sees the old file or the new one, never half of one; a failure leaves the old one alone.

    Raises:
        RunFailedError: If the file cannot be written (a full disk, a folder that is a file, ...).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        RunFailedError: If it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_end(path: Path, start: int, content: bytes) -> None:
    """Write the end of a file, in place of all that stands from a byte on.

    A process that is killed meanwhile may leave a part of it; what stands before is never touched.

    Args:
        path: The file; made where it is missing.
        start: How many bytes to keep.
        content: What comes after them.

    Raises:
        RunFailedError: If it cannot be written.
    """
    with writing(path), open(path, "ab", opener=_opened_without_waiting) as file:
        file.truncate(start)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def move(source: Path, target: Path) -> None:
    """Give a whole file another name, in place of a file that has it.

    Raises:
        RunFailedError: If that cannot be done.
    """
    with writing(target):
        source.replace(target)


def remove(place: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            place.unlink()


def hold(lock: Path, waiting: Callable[[], None]) -> TextIO:
    """Hold a lock file until what is returned is closed; the system lets go of it when the process is killed.

    Args:
        lock: The file; made where it is missing, never removed.
        waiting: Called if another process holds it and this one has to wait.

    Raises:
        OSError: If the file cannot be made or locked.
    """
    held = hold_if_free(lock)
    if held is None:
        waiting()
        held = _open_lock(lock)
        fcntl.flock(held, fcntl.LOCK_EX)
    return held


def hold_if_free(lock: Path) -> TextIO | None:
    """Hold a lock file likewise, or return None at once where another process holds it.

    Raises:
        OSError: If the file cannot be made or locked.
    """
    file = _open_lock(lock)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_held(lock: Path) -> bool:
    """Tell whether another process holds a lock file, which need not be ours to write.

    Raises:
        OSError: If the file cannot be read.
    """
    with open_file(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _open_lock(lock: Path) -> TextIO:
    return open(lock, "w", opener=_opened_without_waiting, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content, in hexadecimal; raises as :func:`open_file` does."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
