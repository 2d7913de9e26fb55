"""Two processes that want the same: one works, the other waits and says so, and nothing is written twice."""

import re
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from tests.conftest import Tried
from tests.system.conftest import Begin, Command, Finished, end_of, only, until
from tests.system.runs import CLEAN_RUN, RUN, assert_same_runs, contents_of

from falsewitness.core.files import hold

WRITTEN_ONCE = {
    "model.safetensors",
    "plan.parquet",
    "cost.json",
    "env.json",
    "result.json",
    "values.npz",
    "maps.npz",
    "gallery.npz",
    ".train-done.json",
    ".evaluate-done.json",
}
Process = subprocess.Popen[str]


def stopped_when(begin: Begin, folder: Path, words: tuple[str, ...], pattern: str, **changes: str) -> Process:
    """Begin a command and stop it as soon as a path is there."""
    process = begin(folder, *words, **changes)
    until(lambda: any(folder.glob(pattern)), process)
    process.send_signal(signal.SIGSTOP)
    return process


def read_until(process: Process, start: str, patience: float = 60) -> str:
    """Read what a command says up to a line that begins so; end a command that does not say it."""
    assert process.stdout is not None
    ended = threading.Timer(patience, process.kill)
    ended.start()
    try:
        for line in process.stdout:
            if line.startswith(start):
                return line.rstrip("\n")
    finally:
        ended.cancel()
    pytest.fail(f"the command ended without saying '{start}': {end_of(process)}")


@pytest.mark.parametrize("first_is_killed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_of_two_equal_runs_one_waits_and_says_so_and_goes_on_where_the_other_ends(
    begin: Begin, finished: Finished, tmp_path: Path, tried: Tried, first_is_killed: bool
) -> None:
    first = stopped_when(begin, tmp_path, CLEAN_RUN, "runs/clean-*/checkpoint.safetensors")
    clean = only(tmp_path / "runs", "clean-*")
    assert not (clean / ".train-done.json").exists()
    second = begin(tmp_path, *CLEAN_RUN)
    said = read_until(second, "waiting")
    assert said == f"waiting for another process that works on 'runs/{clean.name}'"
    first.send_signal(signal.SIGKILL if first_is_killed else signal.SIGCONT)
    answers = end_of(first), end_of(second)
    assert (answers[1].code, answers[1].err) == (0, "")
    assert answers[0].code == (-signal.SIGKILL if first_is_killed else 0)
    assert ("clean model: going on from the last finished epoch" in answers[1].out) == first_is_killed
    assert ("training clean model" in answers[1].out) == first_is_killed
    expected = {name: content for name, content in contents_of(finished.runs).items() if name.startswith(clean.name)}
    del expected[f"{clean.name}/spec.yaml"], expected[f"{clean.name}/result.json"]  # of another experiment
    assert expected.items() <= contents_of(tmp_path / "runs").items()
    tried("faults", "two at once")


def test_two_equal_attacks_at_once_share_the_work_and_write_nothing_twice(
    begin: Begin, finished: Finished, tmp_path: Path, tried: Tried
) -> None:
    processes = [begin(tmp_path, *RUN) for _ in range(2)]
    seen: dict[Path, set[tuple[int, int]]] = defaultdict(set)
    while any(process.poll() is None for process in processes):
        for file in tmp_path.glob("runs/*/*"):
            if file.name in WRITTEN_ONCE and file.exists():
                seen[file].add((file.stat().st_ino, file.stat().st_mtime_ns))
        time.sleep(0.003)
    answers = [end_of(process) for process in processes]
    assert [(answer.code, answer.err) for answer in answers] == [(0, ""), (0, "")]
    assert {file.name for file in seen} == WRITTEN_ONCE
    assert [file for file, versions in seen.items() if len(versions) > 1] == []
    said = "".join(answer.out for answer in answers)
    stages = Counter(re.findall(r"^(training \w+ model|auditing with \w+): ", said, flags=re.MULTILINE))
    assert set(stages.values()) == {1}, stages
    assert len(stages) == 5
    assert_same_runs(tmp_path / "runs", finished.runs)
    tried("faults", "two at once")


@pytest.mark.parametrize("first_is_killed", [pytest.param(False, marks=pytest.mark.slow), True])
def test_of_two_that_decode_the_same_data_one_waits_and_decodes_nothing_that_is_there(
    begin: Begin, command: Command, tmp_path: Path, tried: Tried, first_is_killed: bool
) -> None:
    words, cache = ("data", "prepare", "digits"), {"FALSEWITNESS_CACHE": str(tmp_path / "cache")}
    first = stopped_when(begin, tmp_path, words, "cache/data/.digits-*.partial/copy", **cache)
    second = begin(tmp_path, *words, **cache)
    assert read_until(second, "waiting").startswith("waiting for another process that decodes ")
    first.send_signal(signal.SIGKILL if first_is_killed else signal.SIGCONT)
    answers = end_of(first), end_of(second)
    assert (answers[1].code, answers[1].err) == (0, "")
    assert answers[0].code == (-signal.SIGKILL if first_is_killed else 0)
    assert ("; decoding " in answers[1].out) == first_is_killed
    whole = command(tmp_path, "data", "check", "digits", **cache)
    assert (whole.code, whole.out[:14]) == (0, "digits: whole:")
    tried("faults", "two at once")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_waits_can_be_told_to_end(
    begin: Begin, finished: Finished, tmp_path: Path, tried: Tried, number: signal.Signals
) -> None:
    clean = tmp_path / "runs" / only(finished.runs, "clean-*").name
    clean.mkdir(parents=True)
    with hold(clean / ".lock", lambda: pytest.fail("nobody else holds it")):
        process = begin(tmp_path, *CLEAN_RUN)
        read_until(process, "waiting")
        process.send_signal(number)
        answer = end_of(process)
    assert (answer.code, len(answer.err.splitlines())) == (128 + number, 1)
    tried("faults", number.name)
