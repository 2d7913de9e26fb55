"""What a worker does: trains and measures one model, and tells how that ended."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from falsewitness.benchmark._page_of_run import write_page_of
from falsewitness.benchmark._parcel import Parcel, packed, unpack
from falsewitness.core import DivergedError, FalsewitnessError
from falsewitness.core.component import strings_replaced
from falsewitness.data import Dataset
from falsewitness.experiment import SILENT, Role, RunFolder, Spec, choose_device, run


@dataclass(frozen=True)
class Order:
    """What a worker is to do.

    Attributes:
        spec: The experiment, as plain data.
        role: Which of its models.
        device: What to train on, by name.
    """

    spec: dict[str, Any]
    role: Role
    device: str


@dataclass(frozen=True)
class TaskResult:
    """What a worker has to say.

    Attributes:
        state: How the task ended.
        reason: Why it came to no figures.
        parcel: The run folder, where the worker's files are not the driver's.
    """

    state: Literal["done", "diverged", "failed"]
    reason: str
    parcel: Parcel | None = None


def work_locally(order: Order, out: Path) -> TaskResult:
    """Do a task in the folder of run folders itself."""
    result, folder = _worked(order, out, None)
    if folder is None or order.role != "attack":
        return result
    try:
        with folder.locked(SILENT.notice):  # whoever else holds it removes what is half written
            write_page_of(folder)
    except FalsewitnessError as error:
        return replace(result, state="failed", reason=error.in_a_line)
    return result


def work_remotely(order: Order, files: dict[str, bytes], dataset: Dataset, *parents: Parcel) -> TaskResult:
    """Do a task on a machine that sees none of the driver's files; the page is made where the run folder lands.

    Args:
        order: What to do.
        files: Content of every file that the spec names, by its path.
        dataset: The spec's data.
        *parents: The run folders of the models that the task stands on.
    """
    with tempfile.TemporaryDirectory(prefix="falsewitness-") as place:
        there = {path: Path(place) / str(number) / Path(path).name for number, path in enumerate(files)}
        for path, content in files.items():
            there[path].parent.mkdir()
            there[path].write_bytes(content)
        out = Path(place) / "runs"
        for parent in parents:
            unpack(parent, out)
        spec = strings_replaced(order.spec, {path: str(file) for path, file in there.items()})
        result, folder = _worked(replace(order, spec=spec), out, dataset)
        paths = {str(file): path for path, file in there.items()}
        if folder is None:
            return replace(result, reason=_told_at_home(result.reason, {f"{out}/": "", **paths}))
        return replace(result, parcel=packed(folder.path, str(out), paths))


def _worked(order: Order, out: Path, dataset: Dataset | None) -> tuple[TaskResult, RunFolder | None]:
    try:
        spec = Spec.parse(order.spec, "cell")
        folders = run(spec, out, measured=[order.role], dataset=dataset, device=choose_device(order.device))
    except DivergedError as error:
        return TaskResult("diverged", error.lines[0]), None
    except FalsewitnessError as error:
        return TaskResult("failed", error.in_a_line), None
    return TaskResult("done", ""), folders[order.role]


def _told_at_home(reason: str, names: Mapping[str, str]) -> str:
    """Return a reason without names of a place that is gone."""
    for there, home in names.items():
        reason = reason.replace(there, home)
    return reason
