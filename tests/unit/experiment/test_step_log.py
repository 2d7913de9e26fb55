"""The lines of a training: an epoch is added at a time, and what a killed process left behind is cut off."""

import json
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from falsewitness.core import InputError, RunFailedError
from falsewitness.experiment._step_log import StepLog

EPOCHS: list[list[dict[str, Any]]] = [
    [{"epoch": epoch, "step": 2 * epoch + i, "loss": 0.5} for i in range(2)] for epoch in range(4)
]


def written(path: Path, epochs: Sequence[list[dict[str, Any]]], held: str = "") -> str:
    """Write epochs in a process of their own, as it were, and return what tells of all lines."""
    log = StepLog(path, path.with_name("checkpoint.safetensors"))
    log.go_on(held)
    for records in epochs:
        held = log.write(records)
    return held


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "steps.jsonl"


def test_every_record_is_a_line(path: Path) -> None:
    written(path, EPOCHS)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [*chain(*EPOCHS)]
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize("kept", range(4))
@pytest.mark.parametrize("torn", [b"", b'{"epoch": 2, "st', b'{"epoch": 2, "step": 4}\n', b"\n\xff"])
def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_bytes(path: Path, kept: int, torn: bytes) -> None:
    whole = path.with_name("whole.jsonl")
    expected = written(whole, EPOCHS)
    held = written(path, EPOCHS[:kept])
    with path.open("ab") as file:
        file.write(torn)
    assert written(path, EPOCHS[kept:], held) == expected
    assert path.read_bytes() == whole.read_bytes()


def test_what_was_written_is_never_written_again(path: Path) -> None:
    held = written(path, EPOCHS[:1])
    file = path.stat().st_ino
    written(path, EPOCHS[1:], held)
    assert path.stat().st_ino == file


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.4", 1))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "state"),
    [(cut, "was changed"), (edit, "was changed"), (empty, "was changed"), (Path.unlink, "is missing")],
)
def test_lines_that_are_not_those_of_the_checkpoint_are_noticed(
    path: Path, damage: Callable[[Path], None], state: str
) -> None:
    held = written(path, EPOCHS[:2])
    damage(path)
    with pytest.raises(InputError, match=rf"steps\.jsonl' {state} since the run wrote it; restore it, or remove"):
        StepLog(path, path.with_name("checkpoint.safetensors")).go_on(held)


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailedError, match="cannot be written"):
        StepLog(tmp_path / "file" / "steps.jsonl", tmp_path / "checkpoint.safetensors").write(EPOCHS[0])
