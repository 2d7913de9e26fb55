"""Does what there is to do, one task after those that it needs, whatever becomes of the others."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, TextIO

from falsewitness.benchmark._announcement import Announcement, Running, now
from falsewitness.benchmark._benchmark import Budget, Limits
from falsewitness.benchmark._costs import seconds_spent
from falsewitness.benchmark._job import Order, TaskResult, work_locally, work_remotely
from falsewitness.benchmark._parcel import bring_home
from falsewitness.benchmark._status import (
    Status,
    forget_failure,
    forget_page,
    forget_record,
    has_damaged_files,
    lacks_its_model,
    lacks_its_page,
    record_failure,
    status_of,
)
from falsewitness.benchmark._task_inputs import TaskInputs
from falsewitness.benchmark._tasks import Agenda, Task
from falsewitness.core import FalsewitnessError, RunFailedError
from falsewitness.core.files import hold_if_free
from falsewitness.execution import Ended, Executor, Pool

_PATIENCE_SECONDS = 2.0
_PATIENCE_WITH_OTHERS_SECONDS = 0.2
"""How long to wait for an end where another driver may finish what is waited for."""

_LOOKED_AT = 1000
"""Tasks that are looked at for one to begin: more than other drivers have in hand."""


class Listener(Protocol):
    """Who is told how a benchmark comes on."""

    def begun(self, task: Task) -> None:
        """Hear that a task was handed to a worker."""
        ...

    def ended(self, task: Task, found: Status, seconds: float) -> None:
        """Hear how a task ended, and how long it took; no time at all where another driver has done it."""
        ...

    def notice(self, text: str) -> None:
        """Hear something once."""
        ...


@dataclass
class _Work:
    """A task in the hands of a worker.

    Attributes:
        task: What is done.
        claim: Held as long as it lasts: no other driver does the same.
        since: When it was begun.
        tries: How often it was begun.
        lost: Seconds that earlier tries took.
    """

    task: Task
    claim: TextIO
    since: float
    tries: int = 1
    lost: float = 0.0


@dataclass(frozen=True)
class Terms:
    """How a benchmark is worked off.

    Attributes:
        out: The folder that run folders go into.
        device: What to train on, by name.
        limits: What a task may take.
        budget: What all may take.
        retry_failed: Whether tasks that failed before, or whose files were damaged since, are tried again.
    """

    out: Path
    device: str
    limits: Limits
    budget: Budget
    retry_failed: bool


class Driver:
    """Hands the tasks of a benchmark to workers until nothing is left that can be done.

    Args:
        agenda: What there is to do.
        terms: How.
        listener: Who is told.
        announcement: Where others can read what runs.
    """

    def __init__(self, agenda: Agenda, terms: Terms, listener: Listener, announcement: Announcement) -> None:
        self._agenda = agenda
        self._terms = terms
        self._listener = listener
        self._announcement = announcement
        self._running: dict[str, _Work] = {}
        self._statuses = {key: status_of(task) for key, task in agenda.tasks.items()}
        if terms.retry_failed:
            self._forget_failures()
        self._open = self._all_open()
        self._inputs = TaskInputs(agenda, self._open.values())
        self._spent_seconds = self._spent_before()

    @property
    def statuses(self) -> Mapping[str, Status]:
        """How each task stands, by key."""
        return self._statuses

    @property
    def left(self) -> int:
        """How many tasks are left to do; not those that stand on a failure."""
        return len(self._open)

    def drive(self, executor: Executor) -> None:
        """Do all that can be done.

        What stays ``waiting`` stands on a failure, or the budget does not suffice for it.

        Args:
            executor: Who does the work.
        """
        if not self._open or self._is_spent():
            return
        try:
            with executor.open() as pool:
                self._work_off(pool, shares_disk=executor.shares_disk)
        finally:
            for work in self._running.values():
                work.claim.close()

    def _work_off(self, pool: Pool, *, shares_disk: bool) -> None:
        while True:
            elsewhere = self._begin(pool, shares_disk=shares_disk)
            self._announcement.tell([Running(w.task.key, w.since, w.tries) for w in self._running.values()])
            if self._running:
                for end in pool.ended(_PATIENCE_WITH_OTHERS_SECONDS if elsewhere else _PATIENCE_SECONDS):
                    self._settle(end, pool, shares_disk=shares_disk)
            elif elsewhere:
                time.sleep(_PATIENCE_WITH_OTHERS_SECONDS)
            elif self._is_spent() or next(self._ready(), None) is None:  # others' ends may have made more ready
                return

    def _all_open(self) -> dict[str, Task]:
        """Return what can be done, and first what it stands on where that has to be done again."""
        tasks = self._agenda.tasks
        found = {key for key, task in tasks.items() if self._can_come_to(task)}
        below = {need for key in found for need in tasks[key].needs if self._statuses[need].state == "done"}
        for key in below:
            if lacks_its_model(tasks[key]):
                self._statuses[key] = Status("waiting")
                found.add(key)
        return {key: task for key, task in tasks.items() if key in found}

    def _can_come_to(self, task: Task) -> bool:
        below = {self._statuses[need].state for need in task.needs}
        return _is_open(task, self._statuses[task.key]) and below <= {"done", "waiting"}

    def _forget_failures(self) -> None:
        """Let failures be tried again, and what they stand on, where that is why."""
        failed = [
            key
            for key, found in self._statuses.items()
            if found.state in ("failed", "diverged")
            or (found.state == "done" and has_damaged_files(self._agenda.tasks[key]))
        ]
        doubtful = dict.fromkeys(one for key in failed for one in (*self._agenda.tasks[key].needs, key))
        for key in doubtful:
            task = self._agenda.tasks[key]
            if (claim := self._claimed(task)) is not None:  # or another driver is at it
                with claim:
                    forget_failure(task)
            self._statuses[key] = status_of(task)

    def _spent_before(self) -> float:
        """Return the seconds that the tasks took so far; not needed where no budget limits them."""
        return sum(self._seconds_elsewhere(task, self._statuses[key]) for key, task in self._agenda.tasks.items())

    def _seconds_elsewhere(self, task: Task, found: Status) -> float:
        """Return what a task took earlier or in another driver's hands; nothing where no budget counts it."""
        return 0.0 if self._terms.budget.hours is None else seconds_spent(task, found)

    def _is_spent(self) -> bool:
        hours = self._terms.budget.hours
        return hours is not None and self._spent_seconds >= hours * 3600

    def _begin(self, pool: Pool, *, shares_disk: bool) -> bool:
        """Hand out tasks while workers are free; tell whether there is one to wait for that others have in hand."""
        if pool.slots == 0:
            return bool(self._open)
        elsewhere = False
        for task in list(islice(self._ready(), _LOOKED_AT)):
            if self._is_spent():
                return False
            if len(self._running) >= pool.slots:
                return elsewhere
            claim = self._claimed(task)
            if claim is None:
                elsewhere = True
                continue
            # Another driver may have come to its end since this one looked.
            found = status_of(task)
            if not (_is_open(task, found) or (found.state == "done" and lacks_its_model(task))):
                claim.close()
                self._spent_seconds += self._seconds_elsewhere(task, found)
                self._note(task, found, 0.0)
                continue
            forget_page(task)
            self._running[task.key] = _Work(task, claim, now())
            self._hand_out(task, pool, shares_disk=shares_disk)
        return elsewhere

    def _ready(self) -> Iterator[Task]:
        """Yield what can be begun, in the order of the matrix."""
        for key, task in self._open.items():
            if key not in self._running and all(self._statuses[need].state == "done" for need in task.needs):
                yield task

    def _claimed(self, task: Task) -> TextIO | None:
        """Return what is held as long as the task lasts; None where another driver holds it."""
        claims = self._terms.out / ".claims"
        try:
            claims.mkdir(parents=True, exist_ok=True)
            return hold_if_free(claims / f"{task.key}.lock")
        except OSError as error:
            raise RunFailedError(
                f"'{claims}' cannot be made or written to ({error.strerror}); choose another folder with --out"
            ) from error

    def _hand_out(self, task: Task, pool: Pool, *, shares_disk: bool) -> None:
        minutes = self._terms.limits.minutes
        limit = None if minutes is None else minutes * 60
        order = Order(task.spec.plain(), task.role, self._terms.device)
        if shares_disk:
            pool.submit(task.key, work_locally, order, self._terms.out, limit=limit)
        else:
            try:
                inputs = self._inputs.of(task, pool)
            except FalsewitnessError as error:
                self._conclude(self._running[task.key], Status("failed", error.in_a_line), 0.0)
                return
            pool.submit(task.key, work_remotely, order, *inputs, limit=limit)
        self._listener.begun(task)

    def _settle(self, end: Ended, pool: Pool, *, shares_disk: bool) -> None:
        work = self._running[end.key]
        task = work.task
        self._spent_seconds += end.seconds
        if end.status in ("lost", "timed out") and work.tries <= self._terms.limits.retries:
            self._listener.notice(f"{task.key}: {end.fault}; tried again")
            work.tries += 1
            work.lost += end.seconds
            self._hand_out(task, pool, shares_disk=shares_disk)
            return
        result = end.value if isinstance(end.value, TaskResult) else TaskResult("failed", end.fault)
        found = self._found(task, result) if result.state == "done" else Status(result.state, result.reason)
        self._conclude(work, found, end.seconds)

    def _conclude(self, work: _Work, found: Status, seconds: float) -> None:
        """Write down how a task ended, and let go of it."""
        try:
            if found.state == "done":
                forget_record(work.task)
            else:
                record_failure(work.task, found, work.lost + seconds)
        except (RunFailedError, OSError) as error:
            self._listener.notice(str(error))
        del self._running[work.task.key]
        work.claim.close()
        self._note(work.task, found, seconds)

    def _found(self, task: Task, result: TaskResult) -> Status:
        """Return how a task stands that a worker calls done."""
        try:
            if result.parcel is not None:
                with task.folder.locked(self._listener.notice):
                    bring_home(result.parcel, task.folder)
        except FalsewitnessError as error:
            return Status("failed", error.in_a_line)
        found = status_of(task)
        if found.state == "waiting":
            return Status("failed", f"the worker left another experiment's figures in '{task.folder.path}'")
        return found

    def _note(self, task: Task, found: Status, seconds: float) -> None:
        self._statuses[task.key] = found
        del self._open[task.key]
        self._inputs.forget(task)
        self._listener.ended(task, found, seconds)


def _is_open(task: Task, found: Status) -> bool:
    """Tell whether there is anything to do: figures, or the page that shows them."""
    return found.state == "waiting" or (found.state == "done" and lacks_its_page(task))
