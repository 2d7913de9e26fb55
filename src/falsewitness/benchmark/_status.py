"""How a task stands, told by its run folder alone: the run folders are the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from falsewitness.benchmark._page_of_run import page_of
from falsewitness.benchmark._tasks import Task
from falsewitness.core import InputError
from falsewitness.core.files import read_json, remove, write_text
from falsewitness.experiment import STAGES


@dataclass(frozen=True)
class Status:
    """How a task stands.

    Attributes:
        state: ``waiting`` is all that was not begun or is not finished.
        reason: Why it came to no figures; empty where it did, or may yet.
    """

    state: Literal["done", "diverged", "failed", "waiting"]
    reason: str = ""


def status_of(task: Task) -> Status:
    """Tell how a task stands: done where its marker says so, its result is as it was left, and its numbers are there.

    To read all files takes too long for thousands of tasks: whoever uses one looks whether it is as it was left, and
    :func:`has_damaged_files` looks at all.
    """
    marker = task.folder.marker("evaluate")
    try:
        if marker.vouches(task.eval_digest, task.folder.result):
            if not task.folder.values.is_file():
                marker.check(task.folder.values)
            return Status("done")
    except InputError as error:
        return Status("failed", str(error))
    return _recorded(task) or Status("waiting")


def has_damaged_files(task: Task) -> bool:
    """Tell whether any file is not as it was left, though the task is done."""
    try:
        for stage in STAGES:
            task.folder.marker(stage).check()
    except InputError:
        return True
    return False


def record_failure(task: Task, found: Status, seconds: float) -> None:
    """Write beside a task's files why it came to no figures: it is not tried again before it is asked for.

    Args:
        task: The task.
        found: How it ended.
        seconds: What it took, all tries together.

    Raises:
        RunFailedError: If it cannot be written.
    """
    record = {"state": found.state, "reason": found.reason, "seconds": seconds, "eval_digest": task.eval_digest}
    write_text(_record(task), json.dumps(record, indent=1) + "\n")


def is_trained(task: Task) -> bool:
    """Tell whether a task that waits is trained already, and only its figures are missing."""
    try:
        return task.folder.marker("train").is_for(task.train_digest)
    except InputError:
        return False


def has_other_figures(task: Task) -> bool:
    """Tell whether a task that waits was measured otherwise: by other auditors, say."""
    return task.folder.marker("evaluate").exists()


def lacks_its_page(task: Task) -> bool:
    """Tell whether a finished task ended before its page was written: that comes after the figures are complete."""
    return task.role == "attack" and not page_of(task.folder).is_file()


def lacks_its_model(task: Task) -> bool:
    """Tell whether nothing vouches for the weights of a shared model: what stands on it would train it anew."""
    try:
        return task.role != "attack" and not task.folder.marker("train").is_for(task.train_digest)
    except InputError:
        return False  # whoever uses it tells of the damage


def forget_page(task: Task) -> None:
    """Remove a task's page before its figures are made anew, so that it is never that of others."""
    remove(page_of(task.folder))


def forget_record(task: Task) -> None:
    """Remove what is written of a failure, if there is anything."""
    remove(_record(task))


def forget_failure(task: Task) -> None:
    """Let a task be tried again: its record goes, and the markers that vouch for files that are damaged."""
    forget_record(task)
    for place, stage in enumerate(STAGES):
        try:
            task.folder.marker(stage).check()
        except InputError:
            # What was measured of a damaged model stands on it.
            for later in STAGES[place:]:
                task.folder.marker(later).remove()


def seconds_lost(task: Task) -> float:
    """Return what a task took that failed or diverged; nothing where no record tells it."""
    record = _read_record(task)
    seconds = record.get("seconds") if record else None
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def _recorded(task: Task) -> Status | None:
    """Return what is written of a failure; None where nothing is."""
    record = _read_record(task)
    if record is None:
        return None
    return Status("diverged" if record.get("state") == "diverged" else "failed", str(record.get("reason", "")))


def _read_record(task: Task) -> dict[str, Any] | None:
    """Return the record of a failure; None where there is none, or it is another experiment's or damaged."""
    try:
        record = read_json(_record(task))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("eval_digest") == task.eval_digest else None


def _record(task: Task) -> Path:
    return task.folder.path / "failure.json"
