"""Processes on this machine."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from multiprocessing.connection import wait
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from falsewitness.core import InputError
from falsewitness.execution._base import Executor, Pool
from falsewitness.execution._gpus import visible_gpus
from falsewitness.execution._process import WorkerProcess
from falsewitness.execution._queue import Call, QueuedPool
from falsewitness.execution._surroundings import thread_environment


class Local(Executor):
    """Processes on this machine, each with its share of the cores or a GPU of its own."""

    kind: Literal["local"] = "local"
    shares_disk: ClassVar[bool] = True

    workers: int = Field(default=1, ge=1)
    """How many calls run at once; where there are GPUs, at most as many as these."""

    threads: Annotated[int, Field(ge=1)] | None = None
    """How many threads torch uses in a worker; null shares out the cores at hand, up to OMP_NUM_THREADS each."""

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Make the workers ready; a process starts with the first call that needs it, and stays.

        Raises:
            InputError: If there are GPUs, and fewer than workers.
        """
        gpus = visible_gpus()
        if gpus and self.workers > len(gpus):
            raise InputError(
                f"executor 'local': expected workers <= {len(gpus)}, for each worker has a GPU to itself, "
                f"got {self.workers}; to let several share a GPU start the same command several times, to work without "
                "GPUs set CUDA_VISIBLE_DEVICES to nothing"
            )
        threads = self.threads or _threads_of_a_worker(self.workers)
        pool = _LocalPool(self.workers, threads, gpus)
        try:
            yield pool
        finally:
            pool.close()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _threads_of_a_worker(workers: int) -> int:
    share = max(1, _usable_cores() // workers)
    # It may name a number for each level of nesting; the first is the process's own.
    allowed = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(share, int(allowed)) if allowed.isdecimal() and int(allowed) else share


class _LocalPool(QueuedPool):
    def __init__(self, workers: int, threads: int, gpus: tuple[str, ...]) -> None:
        super().__init__()
        self._threads = threads
        self._gpus = gpus
        self._slots = workers
        self._workers: dict[int, WorkerProcess] = {}

    @property
    def slots(self) -> int:
        return self._slots

    def close(self) -> None:
        """Stop all processes, whatever they run."""
        for worker in self._workers.values():
            worker.kill()

    def _start(self, call: Call) -> None:
        for slot, worker in tuple(self._workers.items()):
            if worker.call is None and not worker.is_alive:
                self._workers.pop(slot).kill()
        free = next((worker for worker in self._workers.values() if worker.call is None), None)
        self._note((free or self._new()).take(call))

    def _new(self) -> WorkerProcess:
        slot = next(slot for slot in range(self._slots) if slot not in self._workers)
        environment = thread_environment(self._threads)
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[slot]
        self._workers[slot] = WorkerProcess(self._threads, environment)
        return self._workers[slot]

    def _watch(self, patience: float) -> None:
        busy = [worker for worker in self._workers.values() if worker.call]
        left = min((worker.deadline for worker in busy), default=inf) - time.monotonic()
        found = set(wait([sign for worker in busy for sign in worker.signs], max(0.0, min(patience, left))))
        for worker in busy:
            self._note(worker.hear() if found.intersection(worker.signs) else None)
            self._note(worker.overdue())
