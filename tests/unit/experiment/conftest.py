import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from falsewitness.experiment import SILENT, Role, RunFolder, Spec, Workplace, find_spec, run
from falsewitness.training import Progress

Folders = dict[Role, RunFolder]

QUICK = (
    "data.train_limit=200",
    "model.width=8",
    "model.strides=[2, 2, 1]",
    "precision=fp32",
    "clean_training.epochs=1",
    "evaluation={map_samples: 20, detector_samples: 20, gallery_images: 2}",
)
QUICK_ATTACK = ("attack_training.epochs=1",)


def tiny(recipe: str = "digits/full-disguise", *changes: str) -> Spec:
    """Return the spec of a run that takes a second: a recipe, and changes as for ``--set``."""
    attack = () if recipe == "digits/clean" else QUICK_ATTACK
    return find_spec(recipe, [*QUICK, *attack, *changes])


class KilledError(BaseException):
    """Stands for whatever ends a process."""


@dataclass
class Witness:
    """A reporter that remembers, and may end the process after so many reports of what bears a label."""

    kill_in: str = ""
    kill_at: int = 0
    notices: list[str] = field(default_factory=list)
    steps: dict[str, list[int]] = field(default_factory=dict)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        def told(done: int, total: int) -> None:
            self.steps.setdefault(label, []).append(done)
            if label == self.kill_in and len(self.steps[label]) == self.kill_at:
                raise KilledError

        yield told


def result_of(folder: RunFolder) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(folder.result.read_text(encoding="utf-8"))
    return result


def figures_of(folder: RunFolder) -> list[dict[str, Any]]:
    measurements: list[dict[str, Any]] = result_of(folder)["measurements"]
    return measurements


def times_of(*folders: RunFolder) -> dict[Path, int]:
    """Return when every file was last written; the lock is touched by everybody who looks."""
    files = [file for folder in folders for file in folder.path.iterdir() if file.name != ".lock"]
    return {file: file.stat().st_mtime_ns for file in files}


def touched(before: dict[Path, int], *folders: RunFolder) -> set[str]:
    """Return the names of the files that came, went or were written since."""
    after = times_of(*folders)
    return {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """A finished run that nobody changes."""
    return run(tiny("digits/red-herring"), tmp_path_factory.mktemp("finished"))


@pytest.fixture
def mine(finished: Folders, tmp_path: Path) -> Folders:
    """The same finished run, for one test to do with as it likes."""
    out = tmp_path / "runs"
    shutil.copytree(finished["attack"].path.parent, out)
    return {role: RunFolder(out / folder.path.name) for role, folder in finished.items()}


@pytest.fixture
def at_work() -> Callable[[Spec], Workplace]:
    """Makes an experiment ready without running it."""

    def prepared(spec: Spec) -> Workplace:
        return Workplace(spec, spec.data.prepare(), Path("runs"), torch.device("cpu"), SILENT)

    return prepared
