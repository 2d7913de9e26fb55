"""What models took, and what the others can be expected to take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from statistics import median

from falsewitness.benchmark._status import Status, seconds_lost
from falsewitness.benchmark._tasks import Task
from falsewitness.report import read_result


def seconds_spent(task: Task, found: Status) -> float:
    """Return what a task has taken, whoever did it; one that failed or diverged all its tries.

    Raises:
        InputError: If its result is damaged.
    """
    return seconds_of(task) if found.state == "done" else seconds_lost(task)


def seconds_of(task: Task) -> float:
    """Return what a finished task took, trained and measured.

    Raises:
        InputError: If its result is damaged.
    """
    return _seconds_in(task.folder.path, task.eval_digest)


@lru_cache(maxsize=100_000)
def _seconds_in(folder: Path, eval_digest: str) -> float:
    """Look once: what a finished task took does not change."""
    cost = read_result(folder).cost
    return (cost.get("training_seconds") or 0.0) + (cost.get("evaluation_seconds") or 0.0)


def expected_seconds(todo: Iterable[Task], done: Iterable[Task]) -> Mapping[str, float | None]:
    """Return what each task can be expected to take: as much for an epoch as the most similar models took.

    Args:
        todo: What is to be done.
        done: What has been.

    Returns:
        Seconds by key; None where nothing similar was measured.
    """
    seen: dict[Hashable, list[float]] = defaultdict(list)
    for task in done:
        for likeness in _likenesses(task):
            seen[likeness].append(seconds_of(task) / _epochs(task))
    medians = {likeness: median(values) for likeness, values in seen.items()}
    return {
        task.key: next((medians[like] * _epochs(task) for like in _likenesses(task) if like in medians), None)
        for task in todo
    }


def _likenesses(task: Task) -> Iterator[Hashable]:
    """Yield what a task has in common with others, the closest likeness first."""
    spec = task.spec
    kinds = (spec.data.kind, spec.model.kind)
    attack = spec.attack if task.role == "attack" else None
    if attack is not None:
        surrogate = attack.surrogate_explainer
        yield (kinds, attack.kind, surrogate and surrogate.kind, attack.poison)
        yield (kinds, attack.kind, surrogate and surrogate.kind)
    yield (kinds, task.role)
    yield kinds


def _epochs(task: Task) -> int:
    training = task.spec.clean_training if task.role == "clean" else task.spec.attack_training
    return (training or task.spec.clean_training).epochs
