import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.system.conftest import SMALL, SMALL_CLEAN, Answer, Begin, Command, Finished, end_of, environment, only, until

RUN = ("run", "digits/badnets", *SMALL)
CLEAN_RUN = ("run", "digits/clean", *SMALL_CLEAN)


def exists(folder: Path, pattern: str) -> bool:
    return any(folder.glob(pattern))


def weights_of(runs: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in runs.glob("*/model.safetensors")}


def measured(runs: Path) -> dict[str, Any]:
    results = {path.parent.name: json.loads(path.read_text()) for path in runs.glob("*/result.json")}
    return {name: result["measurements"] for name, result in results.items()}


def epochs_of(runs: Path) -> dict[str, list[int]]:
    """The epochs of each training that were finished, in the order of its file."""
    found = {}
    for path in runs.glob("*/steps.jsonl"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [record["epoch"] for record in records if "validation" in record]
    return found


def assert_same_runs(runs: Path, finished: Finished) -> None:
    assert weights_of(runs) == weights_of(finished.runs)
    assert measured(runs) == measured(finished.runs)
    assert epochs_of(runs) == epochs_of(finished.runs)
    assert not exists(runs, "*/checkpoint.safetensors")
    assert not exists(runs, "*/.*.safetensors.*.partial")


def stopped_when(pattern: str, begin: Begin, folder: Path, by: signal.Signals) -> Answer:
    """Run, and send a signal as soon as a file is there."""
    process = begin(folder, *RUN)
    until(lambda: exists(folder / "runs", pattern), process)
    process.send_signal(by)
    return end_of(process)


@pytest.mark.parametrize("training", ["clean", pytest.param("digits-badnets", marks=pytest.mark.slow)])
def test_an_interrupted_training_says_how_to_go_on_and_ends_with_the_same_weights(
    begin: Begin, ask: Command, finished: Finished, tmp_path: Path, training: str
) -> None:
    answer = stopped_when(f"{training}-*/checkpoint.safetensors", begin, tmp_path, signal.SIGINT)
    assert answer.code == 130
    assert answer.err == "falsewitness: interrupted; run the same command again to go on from what is finished\n"
    assert not exists(tmp_path / "runs", "*/report.html")
    assert exists(tmp_path / "runs", f"{training}-*/checkpoint.safetensors")
    again = ask(*RUN)
    assert again.code == 0, again.err
    assert_same_runs(tmp_path / "runs", finished)


def test_a_run_killed_again_and_again_ends_with_the_same_numbers(
    begin: Begin, ask: Command, finished: Finished, tmp_path: Path
) -> None:
    for pattern in (
        "clean-*/checkpoint.safetensors",
        "digits-badnets-*/checkpoint.safetensors",
        "digits-badnets-*/maps.npz",
    ):
        assert stopped_when(pattern, begin, tmp_path, signal.SIGKILL).code == -signal.SIGKILL
    answer = ask(*RUN)
    assert answer.code == 0, answer.err
    assert "training" not in answer.out
    assert_same_runs(tmp_path / "runs", finished)


def test_what_a_killed_process_had_begun_to_write_is_removed(ask: Command, finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.runs, tmp_path / "runs")
    attack = only(tmp_path / "runs", "digits-badnets-*")
    (attack / ".checkpoint.safetensors.4321.partial").write_bytes(b"half")
    assert ask(*RUN).code == 0
    assert not exists(attack, ".*.partial")


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", range(0, 3000, 150))
def test_a_run_killed_at_any_moment_ends_with_the_same_numbers(
    begin: Begin, ask: Command, finished: Finished, tmp_path: Path, milliseconds: int
) -> None:
    process = begin(tmp_path, *RUN)
    until((tmp_path / "runs").is_dir, process)
    time.sleep(milliseconds / 1000)
    process.kill()
    end_of(process)
    answer = ask(*RUN)
    assert answer.code == 0, answer.err
    assert_same_runs(tmp_path / "runs", finished)


def test_of_two_equal_runs_at_once_one_waits_and_says_so(begin: Begin, finished: Finished, tmp_path: Path) -> None:
    first = begin(tmp_path, *CLEAN_RUN)
    until(lambda: exists(tmp_path / "runs", "clean-*/checkpoint.safetensors"), first)
    first.send_signal(signal.SIGSTOP)
    clean = only(tmp_path / "runs", "clean-*")
    assert not (clean / ".train-done.json").exists()
    second = begin(tmp_path, *CLEAN_RUN)
    assert second.stdout is not None
    said = [second.stdout.readline() for _ in range(2)]
    assert said[1] == f"waiting for another process that works on 'runs/{clean.name}'\n"
    first.send_signal(signal.SIGCONT)
    answers = end_of(first), end_of(second)
    assert [(answer.code, answer.err) for answer in answers] == [(0, ""), (0, "")]
    assert "training clean model" in answers[0].out
    assert "training clean model" not in answers[1].out
    assert weights_of(tmp_path / "runs")[clean.name] == weights_of(finished.runs)[clean.name]


def test_a_full_disk_is_told_in_one_line_and_what_is_whole_is_used_afterwards(
    ask: Command, finished: Finished, tmp_path: Path
) -> None:
    program = shlex.join([str(Path(sys.executable).with_name("falsewitness")), *RUN])
    # In KiB: the model fits, its checkpoint with momenta does not.
    limited = subprocess.run(
        ["bash", "-c", f"ulimit -f 200; exec {program}"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    answer = Answer(limited.returncode, limited.stdout, limited.stderr)
    assert answer.code == 1
    assert len(answer.err.splitlines()) == 1
    assert "cannot be written: File too large; make room or choose another folder, then run again" in answer.fault
    assert not exists(tmp_path / "runs", "*/.*.partial")
    again = ask(*RUN)
    assert again.code == 0, again.err
    assert_same_runs(tmp_path / "runs", finished)


@pytest.mark.slow
def test_a_reader_that_goes_away_leaves_the_run_resumable(ask: Command, finished: Finished, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        program = [str(Path(sys.executable).with_name("falsewitness")), *RUN]
        left = subprocess.run(
            program, cwd=tmp_path, env=environment(), stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert left.stderr == ""
    assert ask(*RUN).code == 0
    assert_same_runs(tmp_path / "runs", finished)
