"""What a driver tells others while it works: which tasks run. It is believed as long as its process lives."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from falsewitness.core.files import hold, hold_if_free, is_held, read_json, writing

_TOLD = ".json"
_ASIDE = ".partial"


@dataclass(frozen=True)
class Running:
    """A task that a worker does.

    Attributes:
        key: Of the task.
        since: When it was begun, in seconds since 1970.
        tries: How often it was begun.
    """

    key: str
    since: float
    tries: int


class Announcement:
    """The file of one driver.

    Args:
        path: The file; beside it lies a lock that the driver holds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: str | None = None

    def tell(self, running: Sequence[Running]) -> None:
        """Write down what runs, where that has changed.

        Raises:
            RunFailedError: If it cannot be written.
        """
        text = json.dumps([asdict(one) for one in running])
        if text == self._told:
            return
        with writing(self._path):
            # Not forced to the disk: after a crash of the machine no driver lives.
            aside = self._path.with_suffix(_ASIDE)
            aside.write_text(text, encoding="utf-8")
            aside.replace(self._path)
        self._told = text


@contextmanager
def announced(folder: Path) -> Iterator[Announcement]:
    """Announce this process as a driver for the time of a block.

    Args:
        folder: Where the drivers of a benchmark announce themselves.

    Raises:
        RunFailedError: If the folder cannot be written.
    """
    lock = folder / f"{socket.gethostname()}-{os.getpid()}.lock"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = _held(lock)
    with held:
        try:
            yield Announcement(lock.with_suffix(_TOLD))
        finally:
            _forget(lock)


def drivers_now(folder: Path) -> list[tuple[Running, ...]]:
    """Return what each living driver of a benchmark does; what a dead one left is removed."""
    found: list[tuple[Running, ...]] = []
    for lock in sorted(folder.glob("*.lock")):
        try:
            held = hold_if_free(lock)
        except OSError:  # another user's, who lets us only look
            if _is_held(lock):
                found.append(_told(lock))
            continue
        if held is None:
            found.append(_told(lock))
            continue
        with held:
            _forget(lock)
    return found


def _is_held(lock: Path) -> bool:
    try:
        return is_held(lock)
    except OSError:  # not even that
        return True


def _told(lock: Path) -> tuple[Running, ...]:
    try:
        told = read_json(lock.with_suffix(_TOLD))
        return tuple(Running(**one) for one in told)
    except (OSError, ValueError, TypeError):
        return ()  # it has just begun or ended, or is of another version


def _held(lock: Path) -> TextIO:
    """Hold a driver's lock; one that somebody has just taken for a dead driver's, and removed, is made again."""
    while True:
        held = hold(lock, lambda: None)
        try:
            if os.path.samestat(os.fstat(held.fileno()), lock.stat()):
                return held
        except FileNotFoundError:
            pass
        held.close()


def _forget(lock: Path) -> None:
    for file in (lock.with_suffix(_TOLD), lock.with_suffix(_ASIDE), lock):
        file.unlink(missing_ok=True)


def now() -> float:
    """Return the time that announcements are dated by."""
    return time.time()
