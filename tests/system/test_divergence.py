"""Trainings that diverge: they fail alone, say why, keep their last good epoch, and are tried again."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Tried
from tests.system.conftest import SMALL, SMALL_CLEAN, Answer, Command, Finished, only

TOO_FAST = ("learning_rate=1000", "weight_decay=1.0")
TOO_FAST_FROM_THE_SECOND_EPOCH = ("learning_rate=200",)


def setting(stage: str, changes: tuple[str, ...]) -> list[str]:
    return [word for change in changes for word in ("--set", f"{stage}.{change}")]


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def state_of(*folders: Path) -> dict[Path, tuple[int, int]]:
    """Every file as it was written last; the lock is touched by whoever looks."""
    files = [file for folder in folders for file in folder.rglob("*") if not file.name.endswith(".lock")]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def assert_told(answer: Answer, start: str, folder: Path) -> str:
    """Assert that a divergence is told in a line, as the result file has it; return the reason."""
    assert answer.code == 1, answer
    assert len(answer.err.splitlines()) == 1, answer.err
    assert answer.fault.startswith(start), answer.fault
    result = result_of(folder)
    assert (result["status"], result["measurements"]) == ("diverged", [])
    assert result["reason"] in answer.fault
    assert not (folder / "model.safetensors").exists()
    assert not list(folder.glob(".*-done.json"))
    return str(result["reason"])


def test_a_control_that_diverges_leaves_all_other_runs_alone_and_is_reported_beside_them(
    ask: Command, finished: Finished, tmp_path: Path, tried: Tried
) -> None:
    shutil.copytree(finished.runs, tmp_path / "runs")
    others = sorted((tmp_path / "runs").iterdir())
    before = state_of(*others)
    command = ("run", "digits/badnets", *SMALL, "--set", "name=steep", *setting("attack_training", TOO_FAST))
    answer = ask(*command)
    (control,) = set((tmp_path / "runs").iterdir()) - set(others)
    reason = assert_told(answer, "control model of 'steep' diverged: ", control)
    assert "training clean model" not in answer.out, "the clean model is used again"
    assert state_of(*others) == before
    told = ask("report", "runs")
    assert (told.code, told.err) == (0, "")
    assert re.search(r"^control.*\s+diverged ", told.out, flags=re.MULTILINE)  # a long name has a line of its own
    page = (tmp_path / "report.html").read_text()
    assert reason in page
    assert "digits/badnets" in page
    again = ask(*command)
    assert again.err == answer.err, "a failure is never used as a result"
    assert state_of(*others) == before
    tried("faults", "divergences", 2)


def test_an_attack_that_diverges_leaves_its_clean_model_and_control_measured(
    ask: Command, tmp_path: Path, tried: Tried
) -> None:
    answer = ask("run", "digits/full-disguise", *SMALL, "--set", "attack.drift_weight=1.0e+30")
    assert_told(
        answer, "attack model of 'digits/full-disguise' diverged: the loss was ", only(tmp_path, "runs/digits-*")
    )
    assert "set attack_training.gradient_norm to 1.0, or lower attack_training.learning_rate" in answer.fault
    assert "or what the attack's loss gives to maps" in answer.fault
    for role in ("clean", "control"):
        assert result_of(only(tmp_path / "runs", f"{role}-*"))["status"] == "done"
    told = ask("report", "runs")
    assert (told.code, told.err) == (0, "")
    assert "digits/full-disguise" in told.out
    tried("faults", "divergences")


def test_a_clean_model_that_diverges_keeps_its_last_good_epoch_and_is_tried_again_from_there(
    ask: Command, tmp_path: Path, tried: Tried
) -> None:
    command = ("run", "digits/clean", *SMALL_CLEAN, *setting("clean_training", TOO_FAST_FROM_THE_SECOND_EPOCH))
    answer = ask(*command)
    clean = only(tmp_path / "runs", "clean-*")
    assert_told(answer, "clean model of 'digits/clean' diverged: ", clean)
    checkpoint = clean / "checkpoint.safetensors"
    assert f"lower clean_training.learning_rate. The last good epoch is kept in 'runs/{clean.name}" in answer.fault
    kept = checkpoint.read_bytes()
    again = ask(*command)
    assert again.err == answer.err
    assert "clean model: going on from the last finished epoch" in again.out
    assert checkpoint.read_bytes() == kept
    tried("faults", "divergences", 2)


@pytest.mark.parametrize("stage", [pytest.param("clean_training", marks=pytest.mark.slow), "attack_training"])
def test_after_a_divergence_better_settings_end_like_a_run_that_never_diverged(
    ask: Command, finished: Finished, tmp_path: Path, tried: Tried, stage: str
) -> None:
    assert ask("run", "digits/badnets", *SMALL, *setting(stage, TOO_FAST)).code == 1
    answer = ask("run", "digits/badnets", *SMALL)
    assert answer.code == 0, answer.err
    for folder in finished.runs.iterdir():
        assert result_of(tmp_path / "runs" / folder.name)["measurements"] == result_of(folder)["measurements"]
    tried("faults", "divergences")
