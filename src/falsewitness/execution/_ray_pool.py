"""The tasks that Ray knows of, and what they say."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import floor, inf
from typing import Any

import ray

from falsewitness.execution._base import Ended, Status
from falsewitness.execution._queue import Call, QueuedPool
from falsewitness.execution._reply import Reply, raised, reply, set_torch_threads

_LOOKS_EVERY = 1.0
"""Seconds between two looks for room, where the cluster has lost all of it."""

_A_LITTLE = 1e-6
"""Ray counts parts of a CPU or GPU in steps of a ten-thousandth; ten tenths must be one."""


@dataclass(frozen=True)
class Share:
    """What a call gets of a machine."""

    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """How many threads a numerical library should use."""
        return max(1, int(self.cpus))

    def fits_into(self, machine: Mapping[str, float]) -> int:
        """Return how many calls a machine has room for."""
        by_cpus = floor(machine.get("CPU", 0) / self.cpus + _A_LITTLE)
        if self.gpus == 0:
            return by_cpus
        gpus = machine.get("GPU", 0)
        # A part of a GPU is on one GPU: of three that are to be 0.6 each, two do not share their rests.
        by_gpus = gpus // self.gpus if self.gpus >= 1 else gpus * floor(1 / self.gpus + _A_LITTLE)
        return min(by_cpus, floor(by_gpus))


def machines() -> list[Mapping[str, float]]:
    """Return what each living machine of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _run(function: Callable[..., Any], threads: int, *arguments: Any) -> Iterator[str | Reply]:  # noqa: ANN401
    """Say where it runs, from when on its time counts because Ray may have let it wait; then reply."""
    yield f"{socket.gethostname()}, process {os.getpid()}"
    set_torch_threads(threads)
    yield reply(function, arguments)


@dataclass
class _Task:
    """A call that Ray knows of, and what it has said."""

    call: Call
    worker: str = ""
    began: float = field(default_factory=time.monotonic)

    @property
    def deadline(self) -> float:
        return self.began + self.call.limit if self.worker else inf

    def killed(self, status: Status, fault: str) -> Ended:
        return Ended(self.call.key, status, fault=fault, seconds=time.monotonic() - self.began, worker=self.worker)

    def answered(self, reply: Reply) -> Ended:
        return Ended(self.call.key, reply.status, reply.value, reply.fault, reply.seconds, self.worker)


class RayPool(QueuedPool):
    """Calls as tasks of the cluster that this process is connected to."""

    def __init__(self, share: Share, workers: int | None, *, may_grow: bool) -> None:
        """Prepare for tasks; none is started.

        Args:
            share: What a call gets.
            workers: How many run at once at most; None is as many as there is room for.
            may_grow: Whether calls beyond the room that there is should wait at Ray, so that it sees what is wanted.
        """
        super().__init__()
        self._share = share
        self._workers = workers
        self._may_grow = may_grow
        self._tasks: dict[Any, _Task] = {}
        self._run = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_retries=0, num_returns="streaming")(_run)

    @property
    def slots(self) -> int:
        """How many calls can run at once on the machines that live now."""
        if self._workers and self._may_grow:
            return self._workers
        room = sum(map(self._share.fits_into, machines()))
        return min(room, self._workers or room)

    def share(self, value: Any) -> Any:  # noqa: ANN401
        """Put a value where each machine gets it from once; arrays arrive read-only."""
        return ray.put(value)

    def close(self) -> None:
        """Stop all tasks, whatever they run."""
        for stream in self._tasks:
            ray.cancel(stream, force=True)

    def _start(self, call: Call) -> None:
        task = _Task(call)
        try:
            stream = self._run.remote(call.function, self._share.threads, *call.arguments)
        except Exception as error:  # noqa: BLE001 - what is pickled may raise anything
            self._note(task.answered(raised(error)))
        else:
            self._tasks[stream] = task

    def _watch(self, patience: float) -> None:
        if not self._tasks:
            time.sleep(min(patience, _LOOKS_EVERY))
            return
        left = min(task.deadline for task in self._tasks.values()) - time.monotonic()
        heard, _ = ray.wait(list(self._tasks), timeout=max(0.0, min(patience, left)))
        for stream in heard:
            self._end(stream, self._hear(stream, self._tasks[stream]))
        for stream, task in tuple(self._tasks.items()):
            if time.monotonic() >= task.deadline:
                ray.cancel(stream, force=True)
                self._end(stream, task.killed("timed out", task.call.over_limit))

    def _hear(self, stream: Any, task: _Task) -> Ended | None:  # noqa: ANN401
        try:
            said: str | Reply = ray.get(next(stream))
        except ray.exceptions.RayTaskError as error:  # by what surrounds the call: its module cannot be imported, say
            return task.answered(raised(error.cause))
        except ray.exceptions.RayError as error:
            return task.killed("lost", raised(error).fault.partition(". ")[0])  # the rest is about Ray's own files
        if isinstance(said, Reply):
            return task.answered(said)
        task.worker, task.began = said, time.monotonic()
        return None

    def _end(self, stream: Any, ended: Ended | None) -> None:  # noqa: ANN401
        if ended:
            del self._tasks[stream]
            self._note(ended)
