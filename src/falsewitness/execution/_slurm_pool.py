"""The jobs that submitit has queued, and what they leave in their folder."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError

from falsewitness.execution._base import Ended, Status
from falsewitness.execution._queue import Call, QueuedPool
from falsewitness.execution._reply import Reply, packed, raised, reply, set_torch_threads, unpacked
from falsewitness.execution._surroundings import environment, thread_environment

_LOOKS_EVERY = 0.2
"""Seconds between two looks into the folder; Slurm itself is asked far more rarely."""

_FILE_TRAVELS = 15.0
"""Seconds that a file written on another machine may take to be seen on this one."""

_LEAVES_WITHIN = 5.0
"""Seconds that a cancelled job has to end, where it runs on this machine."""


def _run(function: Callable[..., Any], threads: int, arguments: tuple[Any, ...]) -> bytes:
    set_torch_threads(threads)
    return packed(reply(function, arguments))


@dataclass
class _Job:
    """A call whose job is queued, and what is known of it."""

    call: Call
    job: submitit.Job[bytes]
    began: float = field(default_factory=time.monotonic)
    is_running: bool = False
    gone_since: float = inf

    @property
    def worker(self) -> str:
        return f"job {self.job.job_id}"

    @property
    def deadline(self) -> float:
        return self.began + self.call.limit if self.is_running else inf

    def killed(self, status: Status, fault: str) -> Ended:
        return Ended(self.call.key, status, fault=fault, seconds=time.monotonic() - self.began, worker=self.worker)

    def answered(self, reply: Reply) -> Ended:
        return Ended(self.call.key, reply.status, reply.value, reply.fault, reply.seconds, self.worker)


class SlurmPool(QueuedPool):
    """Calls as jobs, one each."""

    def __init__(self, submitter: submitit.AutoExecutor, workers: int, threads: int, seconds: float) -> None:
        """Prepare for jobs; none is queued.

        Args:
            submitter: Queues them.
            workers: How many are queued or running at once at most.
            threads: How many threads torch uses in each.
            seconds: After which time the cluster kills a job.
        """
        super().__init__()
        self._submitter = submitter
        self._is_here = submitter.cluster == "local"
        self._workers = workers
        self._threads = threads
        self._seconds = seconds
        self._jobs: list[_Job] = []
        self._cancelled: list[submitit.Job[bytes]] = []

    @property
    def slots(self) -> int:
        """How many jobs are queued or running at once."""
        return self._workers

    def close(self) -> None:
        """Cancel all jobs, running or not."""
        for one in self._jobs:
            self._cancel(one)
        until = time.monotonic() + _LEAVES_WITHIN
        while self._is_here and time.monotonic() < until and not all(job.done() for job in self._cancelled):
            time.sleep(_LOOKS_EVERY)

    def _start(self, call: Call) -> None:
        call = replace(call, limit=min(call.limit, self._seconds))
        try:
            with environment(thread_environment(self._threads)):  # which the job inherits
                job = self._submitter.submit(_run, call.function, self._threads, call.arguments)
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            self._note(Ended(call.key, "lost", fault=f"no job was queued: {raised(error).fault}"))
        except Exception as error:  # noqa: BLE001 - what is pickled may raise anything
            self._note(Ended(call.key, "raised", fault=raised(error).fault))
        else:
            self._jobs.append(_Job(call, job))

    def _watch(self, patience: float) -> None:
        until = time.monotonic() + patience
        while True:
            found = [(one, ended) for one in self._jobs if (ended := self._look(one))]
            for one, ended in found:
                self._jobs.remove(one)
                self._note(ended)
                for file in (one.job.paths.submitted_pickle, one.job.paths.result_pickle):
                    file.unlink(missing_ok=True)
            left = until - time.monotonic()
            if found or left <= 0:
                return
            time.sleep(min(left, _LOOKS_EVERY))

    def _look(self, one: _Job) -> Ended | None:
        now = time.monotonic()
        if one.job.done():
            if one.job.paths.result_pickle.exists():
                return self._read(one)
            one.gone_since = min(one.gone_since, now)
            if self._is_here or now > one.gone_since + _FILE_TRAVELS:
                return self._died(one)
        elif not one.is_running and one.job.paths.stdout.exists():
            one.is_running, one.began = True, now
        elif now >= one.deadline:
            self._cancel(one)
            return one.killed("timed out", one.call.over_limit)
        return None

    def _read(self, one: _Job) -> Ended:
        try:
            answer = unpacked(one.job.result())
        except UncompletedJobError as error:  # what surrounds the call failed: its module cannot be imported, say
            return one.killed("raised", _last_line_of_traceback(error))
        if answer.fault.startswith(UncompletedJobError.__name__):  # raised in the call when its time was up
            return one.killed("timed out", one.call.over_limit)
        return one.answered(answer)

    def _died(self, one: _Job) -> Ended:
        state = one.job.state
        if state.upper().startswith("TIMEOUT"):
            return one.killed("timed out", one.call.over_limit)
        return one.killed("lost", f"{one.worker} left no answer (state {state}); see {one.job.paths.stderr}")

    def _cancel(self, one: _Job) -> None:
        one.job.cancel(check=False)
        self._cancelled.append(one.job)


def _last_line_of_traceback(error: Exception) -> str:
    """Return what submitit quotes, between two rulers, of the exception that ended a job."""
    quoted = str(error).split("----------------------")
    return quoted[1].strip().rpartition("\n")[2] if len(quoted) > 1 else raised(error).fault
