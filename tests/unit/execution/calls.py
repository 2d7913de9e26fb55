"""What the tests have workers do; the workers import it as ``unit.execution.calls``."""

import os
import signal
import threading
import time
from pathlib import Path

from falsewitness.core import InputError


def refuse(given: str) -> None:
    raise InputError(f"expected something else, got {given}")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def what_nobody_can_send() -> object:
    return threading.Lock()


def zeros(count: int) -> bytes:
    return bytes(count)


def threads() -> tuple[str | None, int]:
    import torch

    return os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()


def process_and_gpu() -> tuple[int, str | None]:
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")


def sleep_after_saying_so(place: Path, seconds: float) -> None:
    _say_who_is_there(place)
    time.sleep(seconds)


def stay_after_saying_so(place: Path, leave: Path) -> None:
    """Hold a place until a file is there."""
    _say_who_is_there(place)
    while not leave.exists():
        time.sleep(0.05)


def work_after_saying_so(place: Path) -> None:
    _say_who_is_there(place)
    while True:
        pass


def _say_who_is_there(place: Path) -> None:
    partial = place.with_suffix(".partial")
    partial.write_text(str(os.getpid()))
    partial.rename(place)
