"""Small benchmarks that tests of faults disturb, and the processes that work on one."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.system.conftest import Answer, Begin, end_of, only, until
from tests.system.runs import assert_same_runs, folders_of
from tests.system.stages import listens, run_for_a_slice

FILE = "small.yaml"
BENCH = ("bench", FILE)

SHRUNK = {
    "data": {"train_limit": 200},
    "model": {"width": 8, "strides": [2, 2, 1]},
    "clean_training": {"epochs": 4},
    "attack_training": {"epochs": 4},
    "auditors": [{"kind": "gradcam"}],
    "metrics": [{"kind": kind} for kind in ("clean_accuracy", "attack_success_rate", "disguise", "trigger_attention")],
    "evaluation": {"map_samples": 20, "detector_samples": 20, "gallery_images": 2},
}
"""What makes a cell on digits take less than a second."""

CELLS = 4
MODELS = 10
"""Two clean ones, a control and an attack for each of two recipes and two seeds."""

_MARK = "FALSEWITNESS_TEST"
_SOON_SECONDS = 10


def benchmark(folder: Path, **fields: Any) -> None:  # noqa: ANN401
    """Write the small benchmark into a folder, or another with these fields."""
    raw = {
        "common": SHRUNK,
        "axes": {"recipe": ["digits/badnets", "digits/full-disguise"], "seed": [0, 1]},
        "executor": {"kind": "local", "threads": 1},
    }
    text = yaml.safe_dump(raw | fields, sort_keys=False)
    (folder / FILE).write_text(f"# Two attacks, two seeds.\n{text}", encoding="utf-8")


@dataclass(frozen=True)
class Store:
    """A folder with a benchmark and the run folders of its models."""

    folder: Path

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def of(self, role: str, seed: int = 0) -> Path:
        """The run folder of a model: a role that is shared, or the beginning of an attack's name."""
        return next(path for path in sorted(self.runs.glob(f"{role}-*")) if f"\nseed: {seed}\n" in _spec(path))

    def of_seed(self, seed: int) -> list[Path]:
        """The run folders of all models of a seed."""
        return [folder for folder in folders_of(self.runs) if f"\nseed: {seed}\n" in _spec(folder)]

    def copied(self, folder: Path, *without: Path) -> "Store":
        """The same in another folder, but for some run folders."""
        names = shutil.ignore_patterns(*(path.name for path in without))
        shutil.copytree(self.folder, folder, dirs_exist_ok=True, ignore=names)
        return Store(folder)


@dataclass(frozen=True)
class WorkedOff(Store):
    """A benchmark that was worked off without any disturbance.

    Attributes:
        answer: What the driver has said.
        most_at_once: How many models it had in hand at once.
    """

    answer: Answer
    most_at_once: int


def _spec(folder: Path) -> str:
    return "\n" + (folder / "spec.yaml").read_text(encoding="utf-8")


def assert_same_bench(store: Store, undisturbed: Store) -> None:
    """Assert that all models are there with the same bits, each attack with its page, and nothing lies about."""
    assert_same_runs(store.runs, undisturbed.runs)
    assert all((folder / "report.html").is_file() for folder in folders_of(store.runs) if folder.name[:6] == "digits")
    bench = only(store.runs / "bench", "*")
    assert {file.name for file in bench.iterdir()} == {"index.html", "drivers", ".lock"}
    assert list((bench / "drivers").iterdir()) == []


def marked(mark: str) -> list[int]:
    """The living processes that a test has started under a mark, and all that these have started."""
    return [process for process in _processes() if f"{_MARK}={mark}".encode() in _environment(process)]


def serves(process: int) -> bool:
    """Tell whether a process is Python's own, which counts what others share."""
    return "resource_tracker" in _told(process)


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())


def _environment(process: int) -> list[bytes]:
    """The variables that a process began with; none of one that has ended."""
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _told(process: int) -> str:
    """What a process is, for people."""
    with suppress(OSError):
        return f"{process}: " + Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8").replace("\0", " ")[:200]
    return f"{process}: ended"


def assert_nobody_left(mark: str, seconds: float = _SOON_SECONDS) -> None:
    """Assert that all processes of a mark end by themselves, and soon."""
    deadline = time.monotonic() + seconds
    while left := marked(mark):
        assert time.monotonic() < deadline, [_told(process) for process in left]
        time.sleep(0.01)


def worker_on(folder: Path, mark: str) -> int | None:
    """The process that holds a run folder; None where nobody does."""
    return next((process for process in marked(mark) if folder / ".lock" in _opened(process)), None)


def works_on_a_run_folder(process: int) -> bool:
    """Tell whether a process holds a run folder, wherever that is."""
    return any(file.name == ".lock" and file.parent.parent.name == "runs" for file in _opened(process))


def children_of(parent: int) -> list[int]:
    """The processes that a process has started, and that live."""
    return [process for process in _processes() if _parent_of(process) == parent]


def _parent_of(process: int) -> int | None:
    try:
        return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return None


def _opened(process: int) -> list[Path]:
    """The files that a process has open; none of one that has ended."""
    found = []
    with suppress(OSError):
        for file in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):  # it is closed again
                found.append(file.readlink())
    return found


STAGES = ("start-up", "workers start", "clean model", "control", "attack", "page", "end")
"""Of a driver, in their order."""

_FURTHER_SECONDS = {"start-up": 1.5, "workers start": 1.5, "clean model": 0.6, "control": 0.4, "attack": 1.0}
"""How far into a stage a moment is chosen at most; the others are short."""


@dataclass
class Driving:
    """A driver in a process of its own.

    Attributes:
        store: What it works on.
        process: The driver.
        mark: Of it and all processes that it starts.
        cells: How many attacks there are when all are done.
    """

    store: Store
    process: "subprocess.Popen[str]"
    mark: str
    cells: int = CELLS
    _started: int = field(default_factory=time.time_ns)
    _has_driven: bool = False

    def stage(self) -> str:
        """The stage that it is in; only what its own processes have touched counts."""
        self._has_driven |= self._touched(f"bench/*/drivers/*-{self.process.pid}.lock")
        if not self._has_driven:
            return "start-up"
        if sum(1 for _ in self.store.runs.glob("digits-*/.evaluate-done.json")) == self.cells:
            return "end" if self._touched("bench/*/index.html") else "page"
        for stage, pattern in (("attack", "digits-*"), ("control", "control-*"), ("clean model", "clean-*")):
            if self._touched(f"{pattern}/.lock"):
                return stage
        return "workers start"

    def running(self) -> list[str]:
        """The models that it says its workers do."""
        for told in self.store.runs.glob(f"bench/*/drivers/*-{self.process.pid}.json"):
            with suppress(FileNotFoundError):
                return [one["key"] for one in json.loads(told.read_text(encoding="utf-8"))]
        return []

    def _touched(self, pattern: str) -> bool:
        for path in self.store.runs.glob(pattern):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime_ns > self._started:
                    return True
        return False

    def ended_in(self, stage: str, number: signal.Signals, chance: random.Random) -> tuple[str, Answer]:
        """Send it a signal at a random moment of a stage, or after that; tell where it was, and what it has said."""
        until(lambda: listens(self.process.pid) and STAGES.index(self.stage()) >= STAGES.index(stage), self.process)
        moment = time.monotonic() + chance.uniform(0.0, _FURTHER_SECONDS.get(stage, 0.1))
        while self.stage() == stage and time.monotonic() < moment:
            time.sleep(0.001)
        landed = self.stage()
        self.process.send_signal(number)
        return landed, end_of(self.process)

    def end(self, limit: float = 300) -> Answer:
        """Wait for its end, and for that of all that it has started."""
        answer = end_of(self.process, limit)
        assert_nobody_left(self.mark)
        return answer


def driver(begin: Begin, store: Store, *words: object, cells: int = CELLS, **changes: str) -> Driving:
    """Start a driver; all its processes carry a mark."""
    mark = f"{store.folder}-{time.monotonic_ns()}"
    process = begin(store.folder, *BENCH, *words, **{_MARK: mark}, **changes)
    return Driving(store, process, mark, cells)


def stopped_in_training(folder: Path, mark: str, process: "subprocess.Popen[str] | None" = None) -> int:
    """Wait until a worker trains a model, and stop it after an epoch; returns the worker, stopped.

    Args:
        folder: The model's.
        mark: The worker's.
        process: The driver, where it is not this process.
    """
    until(lambda: worker_on(folder, mark), process)
    worker = worker_on(folder, mark)
    assert worker is not None, "it has ended already"
    os.kill(worker, signal.SIGSTOP)
    while not (folder / "checkpoint.safetensors").exists():
        assert not (folder / ".train-done.json").exists(), "its training has ended already"
        goes_on = run_for_a_slice(worker)
        assert goes_on, "the worker has ended"
    return worker


@contextmanager
def meanwhile(deed: Callable[[], object]) -> Iterator[None]:
    """Do something while a block runs; fail where it could not be done."""
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(deed)
        yield
    done.result()


def mark_own(patch: pytest.MonkeyPatch, store: Store) -> str:
    """Have all processes that this one starts carry a mark."""
    mark = f"{store.folder}-within"
    patch.setenv(_MARK, mark)
    return mark
