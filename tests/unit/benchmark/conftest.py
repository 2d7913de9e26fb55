"""Benchmarks of a few cells on digits, and workers that do as they are told instead of training."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from falsewitness.benchmark import Benchmark, Driver, Prepared, Status, Task, Terms, announced, prepare
from falsewitness.benchmark._benchmark import Budget, Limits
from falsewitness.benchmark._job import TaskResult
from falsewitness.benchmark._page_of_run import page_of
from falsewitness.core.values import values_key
from falsewitness.execution import Ended, Executor, Pool
from falsewitness.experiment._run_folder import write_arrays

QUICK = {
    "data": {"train_limit": 200},
    "model": {"width": 8, "strides": [2, 2, 1]},
    "precision": "fp32",
    "clean_training": {"epochs": 1},
    "attack_training": {"epochs": 1},
    "evaluation": {"map_samples": 20, "detector_samples": 20, "gallery_images": 2},
}
"""What makes a cell on digits take a second."""

AXES = {"attack.poison.rate": [0.1, 0.2], "seed": [0, 1]}


def parsed(**fields: Any) -> Benchmark:  # noqa: ANN401
    """A benchmark of four cells, or as the fields say."""
    raw = {"name": "tiny", "base": "digits/badnets", "common": QUICK, "axes": AXES} | fields
    return Benchmark.parse({key: value for key, value in raw.items() if value is not None}, "benchmark 'tiny'")


def prepared(out: Path, **fields: Any) -> Prepared:  # noqa: ANN401
    """The same, ready to be worked on."""
    return prepare(
        parsed(**fields),
        [],
        out,
        device=torch.device("cpu"),
        open_data=lambda spec: spec.data.prepare(),
        command="falsewitness bench tiny.yaml",
    )


@dataclass(frozen=True)
class Measured:
    """A figure of a run that was made up.

    Attributes:
        metric: Metric and quantity, ``clean_accuracy.accuracy`` say.
        value: The number, None where it is undefined; an array of numbers an image stands for their mean.
        auditor: Whose maps it is of.
        low: Lower end of its interval over images.
        high: Upper end.
    """

    metric: str
    value: float | NDArray[Any] | None
    auditor: str | None = None
    low: float | None = None
    high: float | None = None

    def plain(self) -> dict[str, Any]:
        """As ``result.json`` has it."""
        metric, _, name = self.metric.partition(".")
        value, counted = self.value, 10
        if isinstance(value, np.ndarray):
            value, counted = float(np.nanmean(value)), int((~np.isnan(value)).sum())
        return {
            "metric": metric,
            "name": name,
            "value": value,
            "n": counted,
            "auditor": self.auditor,
            "low": self.low,
            "high": self.high,
        }

    @property
    def key(self) -> str:
        """As ``values.npz`` has it."""
        metric, _, name = self.metric.partition(".")
        return values_key(metric, name, self.auditor)


def finish(
    task: Task,
    accuracy: float = 0.9,
    seconds: float = 36.0,
    *,
    measured: Sequence[Measured] = (),
    images: NDArray[np.int64] | None = None,
    samples: NDArray[np.int64] | None = None,
    data: str = "f",
    surrogate: str | None = None,
) -> None:
    """Leave what a finished task leaves, as far as drivers and boards look at it.

    Args:
        task: What is finished.
        accuracy: On clean images.
        seconds: What training took.
        measured: What was found, in place of the accuracy.
        images: Which image of the data each test image is; the first ones of it where None.
        samples: Places of the map samples; all of them where None.
        data: The data's fingerprint.
        surrogate: The auditor that the attack was trained against.
    """
    task.folder.path.mkdir(parents=True, exist_ok=True)
    measured = measured or [Measured("clean_accuracy.accuracy", accuracy)]
    attack = {"kind": "badnets", "threat_model": "controls data only", "surrogate_auditor": surrogate}
    result = {
        "schema_version": 1,
        "status": "done",
        "role": task.role,
        "name": task.spec.name,
        "seed": task.spec.seed,
        "train_digest": task.train_digest,
        "eval_digest": task.eval_digest,
        "attack": attack if task.role == "attack" else None,
        "data": {
            "kind": "digits",
            "fingerprint": data,
            "channels": 1,
            "height": 8,
            "width": 8,
            "class_names": ["0"],
            "train": 1,
            "validation": 1,
            "test": 1,
        },
        "cost": {"training_seconds": seconds, "evaluation_seconds": 0.0},
        "measurements": [figure.plain() for figure in measured],
    }
    task.folder.result.write_text(json.dumps(result), encoding="utf-8")
    numbers = {figure.key: figure.value for figure in measured if isinstance(figure.value, np.ndarray)}
    every = np.arange(max((len(values) for values in numbers.values()), default=0))
    samples = every if samples is None else samples
    places = {"images": every if images is None else images, "samples": samples}
    write_arrays(task.folder.values, places | numbers)
    task.folder.marker("train").write(task.train_digest, [])
    task.folder.marker("evaluate").write(task.eval_digest, [task.folder.result, task.folder.values])


def finish_with_page(task: Task) -> None:
    """Leave what a finished task leaves, and of an attack its page."""
    finish(task)
    if task.role == "attack":
        page_of(task.folder).touch()


Deed = Literal["done", "done, it says", "diverged", "failed", "lost", "timed out", "raised"]


@dataclass
class Obedient(Pool):
    """Workers that end each call as they were told: by default it is done."""

    tasks: Mapping[str, Task]
    deeds: dict[str, list[Deed]]
    room: int = 2
    begun: list[str] = field(default_factory=list)
    most_at_once: int = 0
    _open: list[str] = field(default_factory=list)

    @property
    def slots(self) -> int:
        return self.room

    def submit(self, key: str, function: Callable[..., Any], *arguments: Any, limit: float | None = None) -> None:  # noqa: ANN401
        self.begun.append(key)
        self._open.append(key)
        self.most_at_once = max(self.most_at_once, len(self._open))

    def ended(self, patience: float) -> list[Ended]:
        return [self._end(self._open.pop(0))] if self._open else []

    def running(self) -> tuple[str, ...]:
        return tuple(self._open)

    def close(self) -> None:
        self._open.clear()

    def _end(self, key: str) -> Ended:
        deeds = self.deeds.get(key, [])
        deed = deeds.pop(0) if deeds else "done"
        if deed == "lost" or deed == "timed out" or deed == "raised":
            return Ended(key, deed, fault=f"the worker: {deed}", seconds=1.0)
        if deed == "done":
            finish_with_page(self.tasks[key])
        if deed == "done" or deed == "done, it says":
            return Ended(key, "done", value=TaskResult("done", ""), seconds=36.0)
        return Ended(key, "done", value=TaskResult(deed, f"the task {deed}"), seconds=1.0)


class Told(Executor):
    """An executor of obedient workers."""

    kind: Literal["told"] = "told"
    shares_disk: ClassVar[bool] = True
    pools: ClassVar[list[Obedient]] = []

    @contextmanager
    def open(self) -> Iterator[Pool]:
        yield self.pools[-1]


@dataclass
class Heard:
    """A listener that remembers."""

    notices: list[str] = field(default_factory=list)
    ends: list[tuple[str, Status]] = field(default_factory=list)

    def begun(self, task: Task) -> None: ...

    def ended(self, task: Task, found: Status, seconds: float) -> None:
        self.ends.append((task.key, found))

    def notice(self, text: str) -> None:
        self.notices.append(text)


@dataclass
class Driven:
    """What came of a drive."""

    statuses: Mapping[str, Status]
    pool: Obedient
    heard: Heard

    def states(self) -> list[str]:
        """How the tasks stand, in their order."""
        return [found.state for found in self.statuses.values()]


def drive(
    benchmark: Prepared,
    deeds: Mapping[str, Sequence[Deed]] | None = None,
    *,
    retry_failed: bool = False,
    retries: int = 1,
    hours: float | None = None,
    room: int = 2,
    meanwhile: Callable[[], object] = lambda: None,
) -> Driven:
    """Work a benchmark off with obedient workers; something may happen after the driver has looked how it stands."""
    script = {key: list(told) for key, told in (deeds or {}).items()}
    pool, heard = Obedient(benchmark.agenda.tasks, script, room), Heard()
    terms = Terms(benchmark.out, "cpu", Limits(retries=retries), Budget(hours=hours), retry_failed)
    Told.pools.append(pool)
    with announced(benchmark.drivers) as announcement:
        driver = Driver(benchmark.agenda, terms, heard, announcement)
        meanwhile()
        driver.drive(Told())
    return Driven(driver.statuses, pool, heard)


@pytest.fixture
def tiny(tmp_path: Path) -> Prepared:
    """A benchmark of four cells: two poison rates, two seeds."""
    return prepared(tmp_path / "runs")


def keys(benchmark: Prepared, role: str) -> list[str]:
    """The keys of the tasks of a role."""
    return [key for key, task in benchmark.agenda.tasks.items() if task.role == role]
