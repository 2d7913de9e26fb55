"""How the cells of a benchmark stand, and what the finished ones found."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from falsewitness.benchmark._announcement import Running, drivers_now
from falsewitness.benchmark._benchmark import Benchmark
from falsewitness.benchmark._costs import expected_seconds, seconds_spent
from falsewitness.benchmark._matrix import Matrix, lay_out
from falsewitness.benchmark._status import Status, has_other_figures, is_trained, status_of
from falsewitness.benchmark._tasks import Agenda, Task, agenda
from falsewitness.core.files import read_json
from falsewitness.data import Dataset
from falsewitness.experiment import RunFolder, Spec
from falsewitness.report import CellState

_FAILED = ("failed", "diverged")


@dataclass(frozen=True)
class Prepared:
    """A benchmark, laid out and ready to be worked on or looked at.

    Attributes:
        benchmark: What it is.
        matrix: Its cells.
        agenda: Its tasks.
        changes: ``a.b=value`` each, set in every cell.
        out: The folder that run folders go into.
        command: What gives it again.
    """

    benchmark: Benchmark
    matrix: Matrix
    agenda: Agenda
    changes: tuple[str, ...]
    out: Path
    command: str

    @property
    def folder(self) -> Path:
        """Where its page and its tables go, and where its drivers announce themselves; with changes another one."""
        digest = hashlib.sha256("\n".join(self.changes).encode()).hexdigest()[:8]
        return self.out / "bench" / "-".join([self.benchmark.name, *([digest] if self.changes else [])])

    @property
    def drivers(self) -> Path:
        """Where its drivers announce themselves."""
        return self.folder / "drivers"

    def locked(self, notice: Callable[[str], None]) -> AbstractContextManager[None]:
        """Hold its folder to write there, and remove what a killed process had begun to write.

        Args:
            notice: Told if another process holds it and this one has to wait.

        Raises:
            RunFailedError: If the folder cannot be made.
        """
        return RunFolder(self.folder).locked(notice)


def prepare(
    benchmark: Benchmark,
    changes: list[str],
    out: Path,
    *,
    device: torch.device,
    open_data: Callable[[Spec], Dataset],
    command: str,
) -> Prepared:
    """Lay out a benchmark and find its tasks.

    Args:
        benchmark: What to lay out.
        changes: ``a.b=value`` each, set in every cell.
        out: The folder that run folders go into.
        device: Where models are trained.
        open_data: Opens the data of a spec.
        command: What gives the benchmark again.

    Raises:
        InputError: If data is missing or damaged, or something does not fit.
        SpecError: With every fault of every cell.
    """
    matrix = lay_out(benchmark, changes)
    return Prepared(benchmark, matrix, agenda(matrix, out, device, open_data), tuple(changes), out, command)


@dataclass(frozen=True)
class CellView:
    """How one cell stands.

    Attributes:
        state: As the page has it.
        reason: Why it is not done.
        task: Its last model; None of a cell that is left out.
    """

    state: CellState
    reason: str
    task: Task | None


@dataclass(frozen=True)
class Survey:
    """How a benchmark stands at a moment.

    Attributes:
        prepared: The benchmark.
        statuses: How each task stands, by key.
        drivers: What each living driver does.
    """

    prepared: Prepared
    statuses: Mapping[str, Status]
    drivers: tuple[tuple[Running, ...], ...]

    @cached_property
    def running(self) -> tuple[Running, ...]:
        """What runs, without what is finished and only not taken back yet."""
        told = (one for driver in self.drivers for one in driver)
        return tuple(one for one in told if one.key in self.statuses and self.statuses[one.key].state == "waiting")

    @property
    def done(self) -> Iterator[Task]:
        """The finished tasks."""
        return (task for key, task in self.prepared.agenda.tasks.items() if self.statuses[key].state == "done")

    @cached_property
    def cells(self) -> tuple[CellView, ...]:
        """How each cell of the matrix stands, in its order."""
        return tuple(self._view(place) for place in range(len(self.prepared.matrix.cells)))

    @property
    def counts(self) -> Counter[str]:
        """How many cells stand how."""
        return Counter(cell.state for cell in self.cells)

    @property
    def has_failures(self) -> bool:
        """Whether anything failed or diverged."""
        return any(found.state in _FAILED for found in self.statuses.values())

    @property
    def failed_below(self) -> Mapping[str, Status]:
        """Models that failed and that no cell tells of, by key: what is left of them was damaged later."""
        told = {self._failed_for(cell.task) for cell in self.cells if cell.task is not None}
        return {key: found for key, found in self.statuses.items() if found.state in _FAILED and key not in told}

    @cached_property
    def spent_seconds(self) -> float:
        """What the tasks have taken so far, those that failed too."""
        return sum(seconds_spent(task, self.statuses[key]) for key, task in self.prepared.agenda.tasks.items())

    @property
    def is_spent(self) -> bool:
        """Whether the budget of hours is used up."""
        hours = self.prepared.benchmark.budget.hours
        return hours is not None and self.spent_seconds >= hours * 3600

    @cached_property
    def waiting(self) -> tuple[Task, ...]:
        """The tasks that were not begun or are not finished."""
        return tuple(task for key, task in self.prepared.agenda.tasks.items() if self.statuses[key].state == "waiting")

    @cached_property
    def trained(self) -> tuple[Task, ...]:
        """Those of them that wait for their figures alone."""
        return tuple(filter(is_trained, self.waiting))

    @property
    def to_measure_anew(self) -> tuple[Task, ...]:
        """The trained ones that have figures, made by other auditors or metrics."""
        return tuple(filter(has_other_figures, self.trained))

    def expected(self) -> Mapping[str, float | None]:
        """Return the seconds that each task that waits can be expected to take; None where nothing tells."""
        return expected_seconds(self.waiting, self.done if self.waiting else ())

    def _failed_for(self, task: Task) -> str | None:
        """Return the model for which a cell failed: its own, or the first of those below; None where it did not."""
        state = self.statuses[task.key].state
        keys = (task.key,) if state != "waiting" else task.needs
        return next((key for key in keys if self.statuses[key].state in _FAILED), None)

    def _view(self, place: int) -> CellView:
        excluded = self.prepared.matrix.cells[place].excluded
        if excluded:
            return CellView("skipped", excluded, None)
        tasks = self.prepared.agenda.tasks
        task = tasks[self.prepared.agenda.of_cells[place]]
        found = self.statuses[task.key]
        if found.state != "waiting":
            return CellView(found.state, found.reason, task)
        if (need := self._failed_for(task)) is not None:
            below = self.statuses[need]
            return CellView("failed", f"its {tasks[need].role} model {below.state}: {below.reason}", task)
        if {task.key, *task.needs} & {one.key for one in self.running}:
            return CellView("running", "", task)
        if self.is_spent:
            return CellView("skipped", f"the budget of {self.prepared.benchmark.budget.hours:g} h is spent", task)
        return CellView("waiting", "", task)


def survey(prepared: Prepared, statuses: Mapping[str, Status] | None = None) -> Survey:
    """Look how a benchmark stands.

    Args:
        prepared: The benchmark.
        statuses: How its tasks stand, where that is known; None to look into the run folders.
    """
    if statuses is None:
        statuses = {key: status_of(task) for key, task in prepared.agenda.tasks.items()}
    return Survey(prepared, statuses, tuple(drivers_now(prepared.drivers)))


def environment_of(task: Task) -> str:
    """Return what a finished task was computed on, in words; empty where that is not known."""
    try:
        known = read_json(task.folder.environment)
        count = known["threads"]
        threads = "" if known["device_type"] == "cuda" else f", {count} {'thread' if count == 1 else 'threads'}"
        return f"{known['device']}{threads}, {known['precision']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
