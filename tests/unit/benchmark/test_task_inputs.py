from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.unit.benchmark.conftest import prepared

from falsewitness.benchmark._task_inputs import TaskInputs
from falsewitness.data import Dataset
from falsewitness.execution import Ended, Pool


class Shelf(Pool):
    """Workers elsewhere, of which only what is shared with them is looked at."""

    def __init__(self) -> None:
        self.shared: list[object] = []

    @property
    def slots(self) -> int:
        return 1

    def share(self, value: object) -> object:
        self.shared.append(value)
        return value

    def submit(self, key: str, function: Callable[..., Any], *arguments: Any, limit: float | None = None) -> None:  # noqa: ANN401
        raise NotImplementedError

    def ended(self, patience: float) -> list[Ended]:
        return []

    def running(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        self.shared.clear()


def test_data_is_shared_once_and_let_go_when_no_task_needs_it_any_more(tmp_path: Path) -> None:
    agenda = prepared(tmp_path, axes={"data.split_seed": [0, 1]}).agenda
    clean = [task for task in agenda.tasks.values() if task.role == "clean"]
    again = clean[0]
    inputs, shelf = TaskInputs(agenda, [*clean, again]), Shelf()

    def shared() -> list[object]:
        return [value for value in shelf.shared if isinstance(value, Dataset)]

    for task in (*clean, again):
        inputs.of(task, shelf)
    assert len(shared()) == 2, "of two splits"
    inputs.forget(again)
    inputs.of(again, shelf)
    assert len(shared()) == 2, "another task needs it"
    inputs.forget(again)
    inputs.of(again, shelf)
    assert len(shared()) == 3, "it was let go, and is shared anew"
