"""Runs that are killed, interrupted or terminated: nothing is lost, and they end with the same bits."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.conftest import Tried
from tests.system.conftest import Begin, Command, Finished, environment, only
from tests.system.runs import RUN, assert_same_runs, vouched_for
from tests.system.stages import STAGES, end_in, watch

TOLD = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
KILLED = [stage for stage in STAGES if stage not in ("start-up", "end")]
TWICE = [(stage, seed) for stage in KILLED for seed in range(2)]
"""Twenty kills."""

REACHED = 0.8
"""The part of a stage that moments are drawn from: a run a little faster than the measured one is in it, too."""

Moments = Callable[[str, int], float]
"""Draws, from a stage and a seed, how many seconds of computing into the stage a run is ended."""


def begun(folder: Path, finished: Finished, stage: str) -> None:
    """Put what an undisturbed run has when it comes to a stage: the models before."""
    for role in ("clean", "control"):
        if STAGES.index(stage) > STAGES.index(f"{role} evaluation"):
            whole = only(finished.runs, f"{role}-*")
            shutil.copytree(whole, folder / "runs" / whole.name)


@pytest.fixture(scope="session")
def moments(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> Moments:
    """Moments at random over most of a stage, which is as long as in an undisturbed run."""
    lengths = watch(begin, tmp_path_factory.mktemp("watched")).seconds_in_each_stage()
    return lambda stage, seed: REACHED * random.Random(f"{stage} {seed}").random() * lengths[stage]


@pytest.fixture
def finish(ask: Command, finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Runs to the end what was disturbed, and compares every bit."""
    monkeypatch.setenv("FALSEWITNESS_CACHE", str(tmp_path / "cache"))

    def ended() -> None:
        runs = tmp_path / "runs"
        done = vouched_for(runs)
        begun = [file.parent for file in runs.glob("*/checkpoint.safetensors")]
        begun = [folder for folder in begun if not (folder / ".train-done.json").exists()]
        answer = ask(*RUN)
        assert (answer.code, answer.err) == (0, "")
        assert done.items() <= vouched_for(runs).items(), "what was finished is not made again"
        assert answer.out.count("model: going on from the last finished epoch") == len(begun)
        assert_same_runs(tmp_path / "runs", finished.runs)
        left = {path.suffix for path in (tmp_path / "cache" / "data").iterdir()}
        assert left == {"", ".lock"}

    return ended


def kill_in_turn(
    begin: Begin, folder: Path, moments: Moments, stages: Iterable[tuple[str, int]], tried: Tried
) -> Counter[str]:
    """Kill one and the same run in stage after stage; count where the kills landed."""
    landed = Counter[str]()
    for stage, seed in stages:
        where, answer = end_in(begin, folder, stage, moments(stage, seed), signal.SIGKILL)
        assert (answer.code, answer.err) == (-signal.SIGKILL, "")
        landed[where] += 1
    for where, count in landed.items():
        tried("kills", where, count)
    tried("faults", "SIGKILL", landed.total())
    return landed


def test_a_run_that_is_killed_interrupted_and_terminated_in_turn_ends_with_the_same_bits(
    begin: Begin, finish: Callable[[], None], moments: Moments, tmp_path: Path, tried: Tried
) -> None:
    tell_to_end(begin, tmp_path, moments, "start-up", signal.SIGINT, tried)
    kill_in_turn(begin, tmp_path, moments, [("decoding", 0)], tried)
    tell_to_end(begin, tmp_path, moments, "clean model", signal.SIGTERM, tried)
    kill_in_turn(begin, tmp_path, moments, [("attack training", 0), ("gallery", 0)], tried)
    tell_to_end(begin, tmp_path, moments, "report", signal.SIGINT, tried)
    finish()


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_over_all_stages_ends_with_the_same_bits(
    begin: Begin, finish: Callable[[], None], moments: Moments, tmp_path: Path, tried: Tried
) -> None:
    landed = kill_in_turn(begin, tmp_path, moments, TWICE, tried)
    assert landed.total() == 20
    assert set(KILLED) <= set(landed), landed
    finish()


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "seed"), TWICE)
def test_a_run_that_is_killed_once_ends_with_the_same_bits(
    begin: Begin,
    finish: Callable[[], None],
    finished: Finished,
    moments: Moments,
    tmp_path: Path,
    tried: Tried,
    stage: str,
    seed: int,
) -> None:
    begun(tmp_path, finished, stage)
    landed, answer = end_in(begin, tmp_path, stage, moments(stage, seed), signal.SIGKILL)
    assert (answer.code, answer.err) == (-signal.SIGKILL, "")
    assert STAGES.index(stage) <= STAGES.index(landed) <= STAGES.index(stage) + 1, "there, or just beyond"
    tried("kills", landed)
    tried("faults", "SIGKILL")
    finish()


def tell_to_end(
    begin: Begin, folder: Path, moments: Moments, stage: str, number: signal.Signals, tried: Tried, seed: int = 0
) -> str:
    """Tell a run to end, assert that it says so in a line, and return the stage it was in."""
    landed, answer = end_in(begin, folder, stage, moments(stage, seed), number)
    told = f"falsewitness: {TOLD[number]}; run the same command again to go on from what is finished\n"
    assert (answer.code, answer.err) == (128 + number, told)
    tried("faults", number.name)
    return landed


@pytest.mark.slow
@pytest.mark.parametrize("number", TOLD)
def test_a_run_can_be_told_to_end_in_every_stage(
    begin: Begin, finish: Callable[[], None], moments: Moments, tmp_path: Path, tried: Tried, number: signal.Signals
) -> None:
    stages = STAGES[:-1]
    landed = [tell_to_end(begin, tmp_path, moments, stage, number, tried) for stage in stages]
    assert set(landed) >= set(stages), landed
    finish()


@pytest.mark.slow
def test_an_interrupt_at_any_moment_of_the_start_shows_no_traceback(
    begin: Begin, moments: Moments, tmp_path: Path, tried: Tried
) -> None:
    for seed in range(12):
        tell_to_end(begin, tmp_path, moments, "start-up", signal.SIGINT, tried, seed)


def test_an_interrupt_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As a shell has it for its jobs in the background."""
    script = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "sys.argv = ['falsewitness', '--version']; from falsewitness.cli.main import entry\n"
        "try: entry()\nfinally: os.kill(os.getpid(), signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_reader_that_goes_away_leaves_the_run_resumable(
    finish: Callable[[], None], tmp_path: Path, tried: Tried
) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        program = [str(Path(sys.executable).with_name("falsewitness")), *RUN]
        known = environment(FALSEWITNESS_CACHE=str(tmp_path / "cache"))
        left = subprocess.run(
            program, cwd=tmp_path, env=known, stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert left.stderr == ""
    tried("faults", "readers that go away")
    finish()
