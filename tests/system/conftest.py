"""The command line as a user types it: in processes of its own, or within this one where only the answer counts."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from falsewitness.cli._console import console
from falsewitness.cli.main import entry

if TYPE_CHECKING:
    from tests.system.benches import WorkedOff

_CHANGES = (
    "data.train_limit=200",
    "model.width=8",
    "clean_training.epochs=6",
    "attack_training.epochs=4",
    "evaluation.map_samples=40",
    "evaluation.detector_samples=40",
    "evaluation.gallery_images=2",
)

SMALL = tuple(word for change in _CHANGES for word in ("--set", change))
"""What makes a recipe on digits take seconds."""

SMALL_CLEAN = tuple(word for change in _CHANGES if not change.startswith("attack") for word in ("--set", change))
"""The same for a recipe without attack."""

_PROGRAM = Path(sys.executable).with_name("falsewitness")
_COLOURED = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS")

# A shell without job control has its children ignore the interrupt that a terminal would send them.
_INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def fault(self) -> str:
        """The message of a command that failed as promised: one line, or a heading and one line a fault."""
        lines = self.err.splitlines()
        assert lines, f"expected a message, got none and exit code {self.code}: {self.out}"
        assert lines[0].startswith("falsewitness: "), self.err
        assert all(line.startswith("  ") for line in lines[1:]), self.err
        return self.err.removeprefix("falsewitness: ").rstrip("\n")


@pytest.fixture(autouse=True)
def _not_traced(no_cover: None) -> None:
    """Coverage is demanded of the other tests alone: tracing would double what a thousand bad specs cost."""


Command = Callable[..., Answer]
Begin = Callable[..., "subprocess.Popen[str]"]


def environment(**changes: str) -> dict[str, str]:
    """The environment of a user at a terminal of 80 columns."""
    kept = {name: value for name, value in os.environ.items() if name not in _COLOURED}
    # Compiling our modules anew takes a tenth of every start.
    return kept | {"COLUMNS": "80", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""} | changes


@pytest.fixture(scope="session")
def begin() -> Iterator[Begin]:
    """Starts a command and does not wait for it: ``begin(folder, *words, **environment)``."""
    begun = []

    def started(folder: Path, *words: object, **changes: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", _INTERRUPTIBLE, str(_PROGRAM), *map(str, words)],
            cwd=folder,
            env=environment(**changes),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        begun.append(process)
        return process

    yield started
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def command(begin: Begin) -> Command:
    """Runs a command to its end: ``command(folder, *words, **environment)``."""

    def finished(folder: Path, *words: object, limit: float = 120, **changes: str) -> Answer:
        return end_of(begin(folder, *words, **changes), limit)

    return finished


def end_of(process: "subprocess.Popen[str]", limit: float = 120) -> Answer:
    """Wait for a command."""
    out, err = process.communicate(timeout=limit)
    return Answer(process.returncode, out, err)


def until(
    condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None, patience: float = 60
) -> None:
    """Wait until something is so while a command runs; fail where it ends before, if it is known."""
    deadline = time.monotonic() + patience
    while not condition():
        if process is not None and process.poll() is not None:
            pytest.fail(f"the command ended first: {end_of(process)}")
        assert time.monotonic() < deadline, f"waited for {patience:g} s"
        time.sleep(0.001)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Asks the command line within this process, in an empty folder and 80 columns: ``ask(*words)``."""
    monkeypatch.chdir(tmp_path)
    for name in _COLOURED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(console, "width", 80)
    monkeypatch.setenv("COLUMNS", "80")  # for typer's own
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own

    def answered(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["falsewitness", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            entry()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        out, err = capsys.readouterr()
        return Answer(code or 0, out, err)

    return answered


@dataclass(frozen=True)
class Finished:
    """A finished attack, shared by tests that only look at it."""

    folder: Path
    answer: Answer

    @property
    def runs(self) -> Path:
        """The folder of its run folders."""
        return self.folder / "runs"

    @property
    def attack(self) -> Path:
        """The attack's run folder."""
        return only(self.runs, "digits-badnets-*")


@pytest.fixture(scope="session")
def finished(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """BadNets on digits, run once."""
    folder = tmp_path_factory.mktemp("finished")
    answer = command(folder, "run", "digits/badnets", *SMALL)
    assert answer.code == 0, answer.err
    return Finished(folder, answer)


@pytest.fixture(scope="session")
def worked_off(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> "WorkedOff":
    """The small benchmark, worked off once by two workers."""
    from tests.system.benches import Store, WorkedOff, benchmark, driver

    folder = tmp_path_factory.mktemp("worked-off")
    benchmark(folder)
    driving, most_at_once = driver(begin, Store(folder), "--workers", 2), 0
    while driving.process.poll() is None:
        most_at_once = max(most_at_once, len(driving.running()))
        time.sleep(0.02)
    answer = driving.end()
    assert (answer.code, answer.err) == (0, ""), answer
    return WorkedOff(folder, answer, most_at_once)


def only(folder: Path, pattern: str) -> Path:
    """The one path that matches."""
    (found,) = folder.glob(pattern)
    return found


def without_times(text: str) -> str:
    """Leave out how long things took."""
    return re.sub(r": \d+\.\d s$", "", text, flags=re.MULTILINE)


@pytest.fixture
def attack(finished: Finished, tmp_path: Path) -> Path:
    """The folder of a finished attack among its run folders, to do with as a test likes."""
    shutil.copytree(finished.runs, tmp_path / "runs")
    return only(tmp_path / "runs", "digits-*")
