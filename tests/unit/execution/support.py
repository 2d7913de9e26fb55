"""Pools of every kind, small enough for two cores."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from falsewitness.execution import Ended, Executor, Pool
from falsewitness.execution.local import Local
from falsewitness.execution.ray import Ray
from falsewitness.execution.slurm import Slurm

LONGEST_WAIT = 30.0


def executor(kind: str, folder: Path) -> Executor:
    return {
        "local": Local(workers=2, threads=1),
        "ray": Ray(workers=2, cpus=0.5),
        "slurm": Slurm(workers=2, cpus=1, cluster="local", folder=folder),
    }[kind]


def all_ended(pool: Pool) -> dict[str, Ended]:
    """Wait for everything that runs; in the order of ending."""
    found: list[Ended] = []
    until = time.monotonic() + LONGEST_WAIT
    while pool.running():
        assert time.monotonic() < until, f"{pool.running()} have not ended"
        found += pool.ended(1.0)
    return {one.key: one for one in found}


def value_of(pool: Pool, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
    pool.submit("the only one", function, *arguments)
    ended = all_ended(pool)["the only one"]
    assert ended.status == "done", ended.fault
    return ended.value


def process_at(place: Path) -> int:
    """Wait for a process to say who it is."""
    until = time.monotonic() + LONGEST_WAIT
    while not place.exists():
        assert time.monotonic() < until, f"nobody has written {place}"
        time.sleep(0.05)
    return int(place.read_text())


def gone(process: int, within: float) -> bool:
    """Tell whether a process ends in time, with all its threads; one that only waits to be reaped has ended."""
    place = Path(f"/proc/{process}")
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if ") Z " in (place / "stat").read_text() and len(list((place / "task").iterdir())) == 1:
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False
