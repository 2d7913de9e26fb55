"""What a task on another machine is given: nothing of the driver's disk can be seen there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from pathlib import Path

from falsewitness.benchmark._parcel import Parcel, packed_model
from falsewitness.benchmark._tasks import Agenda, Task
from falsewitness.core import InputError
from falsewitness.execution import Pool


class TaskInputs:
    """Files, data and models for tasks on other machines; what many need is shared, as long as one needs it.

    Args:
        agenda: All tasks.
        todo: Those that may be done.
    """

    def __init__(self, agenda: Agenda, todo: Iterable[Task]) -> None:
        self._agenda = agenda
        self._needed: Counter[Hashable] = Counter(need for task in todo for need in (task.spec.data, *task.needs))
        self._shared: dict[Hashable, object] = {}

    def of(self, task: Task, pool: Pool) -> list[object]:
        """Return what a task's function is to be called with.

        Raises:
            InputError: If a file cannot be read, or is not as it was left.
        """
        files = {str(path): _content(path) for path in task.spec.files() if path.is_file()}
        data = task.spec.data
        dataset = self._share(pool, data, self._agenda.datasets[data].in_memory)
        models = [self._agenda.tasks[need] for need in task.needs]
        if task.folder.marker("train").is_for(task.train_digest):
            models.append(task)  # it is only to be measured anew
        parcels = [self._share(pool, one.key, partial(_packed, one)) for one in models]
        return [files, dataset, *parcels]

    def forget(self, task: Task) -> None:
        """Let machines forget what only this task has needed."""
        needs = (task.spec.data, *task.needs)
        self._needed.subtract(needs)
        for key in (task.key, *needs):
            if self._needed[key] <= 0:
                self._shared.pop(key, None)

    def _share(self, pool: Pool, name: Hashable, make: Callable[[], object]) -> object:
        if name not in self._shared:
            self._shared[name] = pool.share(make())
        return self._shared[name]


def _packed(task: Task) -> Parcel:
    """Pack a finished model, unless it is not as it was left.

    Raises:
        InputError: If a file is missing or was changed.
    """
    marker = task.folder.marker("train")
    if not marker.is_for(task.train_digest):
        raise InputError(f"'{task.folder.path}' has lost its model meanwhile; run again to make it anew")
    marker.check()
    return packed_model(task.folder)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"'{file}' cannot be read: {error.strerror}") from error
