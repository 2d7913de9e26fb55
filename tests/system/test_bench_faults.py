"""Benchmarks whose driver, workers, files or machines fail: the same command goes on, and ends with the same bits."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster
from tests.conftest import Tried
from tests.system.benches import (
    BENCH,
    FILE,
    SHRUNK,
    STAGES,
    Store,
    WorkedOff,
    assert_nobody_left,
    assert_same_bench,
    benchmark,
    children_of,
    driver,
    mark_own,
    marked,
    meanwhile,
    serves,
    stopped_in_training,
    worker_on,
    works_on_a_run_folder,
)
from tests.system.conftest import Answer, Begin, Command, end_of, environment, until
from tests.system.damage import cut, edited, emptied
from tests.system.limits import files_of_at_most
from tests.system.runs import folders_of, vouched_for, written_by
from tests.system.stages import listens

TOLD = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

TIMES = {"start-up": 2, "workers start": 4, "clean model": 4, "control": 4, "attack": 4, "page": 2}
"""How often a driver is killed in each stage."""

SLOWER = {"common": SHRUNK | {"clean_training": {"epochs": 20}, "attack_training": {"epochs": 12}}}
"""What makes a benchmark take longer, so that twenty drivers find something to do."""


Versions = dict[str, tuple[int, int]]


def end_in_turn(begin: Begin, store: Store, ends: Sequence[tuple[str, signal.Signals]], tried: Tried) -> Counter[str]:
    """End driver after driver, each in its stage; assert that each loses nothing, says so and leaves nobody."""
    chance, landed = random.Random(11), Counter[str]()
    finished: Versions = {}
    for stage, number in ends:
        driving = driver(begin, store, "--workers", 2)
        where, answer = driving.ended_in(stage, number, chance)
        assert_ended_by(number, answer)
        assert_nobody_left(driving.mark)
        assert finished.items() <= vouched_for(store.runs).items(), "what is finished is not done again"
        finished = vouched_for(store.runs)
        landed[where] += 1
        if number == signal.SIGKILL:
            tried("kills", f"driver's {where}")
        tried("faults", number.name)
    return landed


def assert_ended_by(number: signal.Signals, answer: Answer) -> None:
    if number == signal.SIGKILL:
        assert (answer.code, answer.err) == (-signal.SIGKILL, "")
        return
    told = f"falsewitness: {TOLD[number]}; run the same command again to go on from what is finished\n"
    assert (answer.code, answer.err) == (128 + number, told)


def test_a_driver_that_is_killed_and_interrupted_in_turn_leaves_nobody_and_the_same_command_goes_on_to_the_same_bits(
    begin: Begin, ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    store = worked_off.copied(tmp_path, *worked_off.of_seed(1))
    ends = (("workers start", signal.SIGKILL), ("clean model", signal.SIGINT), ("attack", signal.SIGKILL))
    end_in_turn(begin, store, ends, tried)
    finished = vouched_for(store.runs)
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (0, "")
    assert finished.items() <= vouched_for(store.runs).items()
    assert_same_bench(store, worked_off)


@pytest.fixture(scope="module")
def slower(begin: Begin, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The slower benchmark, worked off once."""
    folder = tmp_path_factory.mktemp("slower")
    benchmark(folder, **SLOWER)
    store = Store(folder)
    answer = driver(begin, store, "--workers", 2).end(limit=600)
    assert (answer.code, answer.err) == (0, "")
    return store


@pytest.mark.slow
def test_twenty_killed_drivers_leave_nobody_and_the_same_command_goes_on_to_the_same_bits(
    begin: Begin, slower: Store, tmp_path: Path, tried: Tried
) -> None:
    benchmark(tmp_path, **SLOWER)
    store = Store(tmp_path)
    ends = [(stage, signal.SIGKILL) for stage in STAGES[:-1] for _ in range(TIMES[stage])]
    landed = end_in_turn(begin, store, ends, tried)
    assert landed.total() == 20
    assert set(landed) >= set(STAGES[:-1])
    last = driver(begin, store, "--workers", 2).end()
    assert (last.code, last.err) == (0, "")
    assert_same_bench(store, slower)


def test_a_worker_that_is_killed_is_replaced_and_its_model_goes_on_to_the_same_bits(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = worked_off.of("digits-badnets")
    store = worked_off.copied(tmp_path, attack)
    with meanwhile(killing(store.runs / attack.name, mark_own(monkeypatch, store))):
        answer = ask(*BENCH)
    assert (answer.code, answer.err) == (0, "")
    assert re.search(rf"^{attack.name}: process \d+ was killed by SIGKILL; tried again$", answer.out, re.MULTILINE)
    assert_same_bench(store, worked_off)
    tried("kills", "worker in training")
    tried("faults", "SIGKILL")


def killing(folder: Path, mark: str, times: int = 1) -> Callable[[], None]:
    """Return what kills the worker that trains a model, and so many of its successors."""

    def kill() -> None:
        for _ in range(times):
            os.kill(stopped_in_training(folder, mark), signal.SIGKILL)
            until(lambda: worker_on(folder, mark) is None)

    return kill


@pytest.mark.slow
def test_drivers_and_workers_that_are_killed_at_random_lose_nothing_and_come_to_the_same_bits(
    begin: Begin, slower: Store, tmp_path: Path, tried: Tried
) -> None:
    benchmark(tmp_path, **SLOWER, limits={"retries": 100})
    store, chance = Store(tmp_path), random.Random(23)
    drivings = [driver(begin, store, "--workers", 2) for _ in range(2)]
    finished: Versions = {}
    kills = 0
    while kills < 30:
        time.sleep(chance.uniform(0.0, 3.0))
        for place, driving in enumerate(drivings):
            if driving.process.poll() is not None:
                assert driving.end().code in (0, -signal.SIGKILL)
                drivings[place] = driver(begin, store, "--workers", 2)
        mark = chance.choice(drivings).mark
        victims = [process for process in marked(mark) if not serves(process)]
        if victims:  # or they have all ended meanwhile
            os.kill(chance.choice(victims), signal.SIGKILL)
            kills += 1
        assert finished.items() <= vouched_for(store.runs).items(), "what is finished is not done again"
        finished = vouched_for(store.runs)
    answers = [driving.end() for driving in drivings]
    assert all(answer.code in (0, -signal.SIGKILL) for answer in answers), answers
    assert all(answer.err == "" for answer in answers), answers
    last = driver(begin, store, "--workers", 2).end()
    assert (last.code, last.err) == (0, "")
    assert_same_bench(store, slower)
    tried("kills", "driver or worker", kills)
    tried("faults", "SIGKILL", kills)


@pytest.mark.slow
@pytest.mark.parametrize("retries", [0, 2])
def test_a_model_whose_worker_dies_too_often_has_failed_alone_until_it_is_tried_again(
    ask: Command,
    worked_off: WorkedOff,
    tmp_path: Path,
    tried: Tried,
    monkeypatch: pytest.MonkeyPatch,
    retries: int,
) -> None:
    attack = worked_off.of("digits-badnets")
    store = worked_off.copied(tmp_path, attack)
    benchmark(store.folder, limits={"retries": retries})
    with meanwhile(killing(store.runs / attack.name, mark_own(monkeypatch, store), 1 + retries)):
        answer = ask(*BENCH)
    assert (answer.code, answer.err) == (1, "")
    assert re.search(rf"^{attack.name}: failed: process \d+ was killed by SIGKILL$", answer.out, re.MULTILINE)
    assert answer.out.count("tried again") == retries
    assert "small: 4 cells: 3 done, 1 failed" in answer.out
    finished = vouched_for(store.runs)
    again = ask(*BENCH)
    assert (again.code, finished) == (1, vouched_for(store.runs)), "not tried again before it is asked for"
    mended = ask(*BENCH, "--retry-failed")
    assert (mended.code, mended.err) == (0, "")
    assert finished.items() <= vouched_for(store.runs).items()
    assert_same_bench(store, worked_off)
    tried("kills", "worker in training", 1 + retries)
    tried("faults", "SIGKILL", 1 + retries)


@pytest.mark.slow
@pytest.mark.parametrize("number", TOLD)
def test_a_driver_can_be_told_to_end_in_every_stage(
    begin: Begin, ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, number: signal.Signals
) -> None:
    benchmark(tmp_path)
    store = Store(tmp_path)
    landed = end_in_turn(begin, store, [(stage, number) for stage in STAGES[:-1]], tried)
    assert len(landed) > 2
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (0, "")
    assert_same_bench(store, worked_off)


@pytest.mark.slow
def test_an_interrupt_from_the_terminal_reaches_all_processes_and_only_the_driver_answers(
    begin: Begin, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    attack = worked_off.of("digits-badnets")
    store = worked_off.copied(tmp_path, attack)
    driving = driver(begin, store)
    until(lambda: worker_on(store.runs / attack.name, driving.mark), driving.process)
    for process in marked(driving.mark):
        os.kill(process, signal.SIGINT)
    answer = driving.end()
    assert (answer.code, len(answer.err.splitlines())) == (130, 1), answer.err
    last = driver(begin, store).end()
    assert (last.code, last.err) == (0, "")
    assert_same_bench(store, worked_off)
    tried("faults", "SIGINT")


def test_a_model_that_takes_longer_than_it_may_is_tried_again_and_then_has_failed(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = worked_off.of("digits-badnets")
    store = worked_off.copied(tmp_path, attack)
    mark = mark_own(monkeypatch, store)
    benchmark(store.folder, limits={"minutes": 0.005})
    answer = ask(*BENCH)
    assert_nobody_left(mark)
    late = "ran longer than its limit of 0.3 s and was killed"
    assert (answer.code, answer.err) == (1, "")
    assert f"{attack.name}: {late}; tried again\n{attack.name}: failed: {late}\n" in answer.out
    assert "small: 4 cells: 3 done, 1 failed" in answer.out
    assert f"  failed: recipe digits/badnets, seed 0: {late}\n" in answer.out
    tried("faults", "too slow", 2)


@pytest.mark.slow
def test_a_model_that_hangs_is_killed_after_its_limit_and_disturbs_no_other(
    begin: Begin, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    hanging, *others = (worked_off.of(name, seed) for name in ("digits-badnets", "digits-full") for seed in (0, 1))
    store = worked_off.copied(tmp_path, hanging, *others)
    benchmark(store.folder, limits={"minutes": 1})
    driving = driver(begin, store, "--workers", 2)
    for _ in range(2):
        stopped_in_training(store.runs / hanging.name, driving.mark, driving.process)
        until(lambda: worker_on(store.runs / hanging.name, driving.mark) is None, driving.process, patience=120)
    answer = driving.end()
    late = "ran longer than its limit of 60 s and was killed"
    assert (answer.code, answer.err) == (1, "")
    assert f"{hanging.name}: {late}; tried again\n" in answer.out
    assert f"{hanging.name}: failed: {late}\n" in answer.out
    assert "small: 4 cells: 3 done, 1 failed" in answer.out
    last = driver(begin, store, "--retry-failed").end()
    assert (last.code, last.err) == (0, "")
    assert_same_bench(store, worked_off)
    tried("faults", "hangs", 2)


def assert_cannot_be_written(answer: Answer, attack: Path, file: str) -> None:
    """Assert that it is told of a file of a model, and then of the page."""
    told = "cannot be written: File too large; make room or choose another folder, then run again"
    place = rf"'runs/{attack.name}/\S*{file}'"
    assert re.search(rf"^  failed: recipe digits/badnets, seed 0: {place} {told}$", answer.out, re.MULTILINE)
    assert (answer.code, answer.fault) == (1, f"'runs/bench/small/index.html' {told}")


def test_a_model_that_cannot_be_written_has_failed_and_says_so(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    attack = worked_off.of("digits-badnets")
    store = worked_off.copied(tmp_path, attack)
    before = vouched_for(store.runs)
    with files_of_at_most(100_000):
        answer = ask(*BENCH)
    assert_cannot_be_written(answer, attack, "checkpoint.safetensors")
    assert before == vouched_for(store.runs)
    tried("faults", "failed writes", 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "file", "words"),
    [
        (100_000, "checkpoint.safetensors", ["--retry-failed"]),
        (20_000, "maps.npz", ["--retry-failed"]),
        (150_000, "report.html", []),  # its figures are complete
    ],
)
def test_a_model_that_could_not_be_written_ends_with_the_same_bits_where_there_is_room(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, size: int, file: str, words: list[str]
) -> None:
    attack = worked_off.of("digits-badnets")
    store = worked_off.copied(tmp_path, *([attack] if file == "checkpoint.safetensors" else []))
    if file != "checkpoint.safetensors":
        (store.runs / attack.name / ".evaluate-done.json").unlink()
    before = vouched_for(store.runs)
    with files_of_at_most(size):
        answer = ask(*BENCH)
    assert_cannot_be_written(answer, attack, file)
    assert before.items() <= vouched_for(store.runs).items()
    mended = ask(*BENCH, *words)
    assert (mended.code, mended.err) == (0, "")
    assert before.items() <= vouched_for(store.runs).items()
    assert_same_bench(store, worked_off)
    tried("faults", "failed writes", 2)


@pytest.mark.parametrize(("size", "place"), [(0, "drivers"), (1_000, "index.html")])
def test_a_driver_that_cannot_write_says_so_in_a_line_and_loses_nothing(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, size: int, place: str
) -> None:
    gone = [] if place == "index.html" else [worked_off.of("digits-badnets")]
    store = worked_off.copied(tmp_path, *gone)
    before = vouched_for(store.runs)
    with files_of_at_most(size):
        answer = ask(*BENCH)
    assert (answer.code, len(answer.err.splitlines())) == (1, 1), answer.err
    assert place in answer.fault
    assert "cannot be written: File too large; make room" in answer.fault
    assert before == vouched_for(store.runs)
    tried("faults", "failed writes")


def test_what_a_killed_driver_had_begun_to_write_of_the_page_is_removed(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    store = worked_off.copied(tmp_path)
    (store.runs / "bench" / "small" / ".index.html.7.partial").write_text("<html>", encoding="utf-8")
    assert ask(*BENCH).code == 0
    assert_same_bench(store, worked_off)


def test_a_model_that_diverges_says_why_and_is_not_tried_again_before_it_is_asked_for(
    ask: Command, tmp_path: Path, tried: Tried
) -> None:
    axes = {"attack.drift_weight": {"gentle": 0.5, "steep": 1.0e30}}
    benchmark(tmp_path, base="digits/full-disguise", axes=axes)
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (1, "")
    assert "small: 2 cells: 1 done, 1 diverged" in answer.out
    (told,) = re.findall(r"^  diverged: attack.drift_weight steep: (.*)$", answer.out, re.MULTILINE)
    assert told.startswith("attack model of 'digits/full-disguise' diverged: the loss was ")
    done = vouched_for(tmp_path / "runs")
    again = ask(*BENCH)
    assert (again.code, again.err) == (1, "")
    assert "0 to do" in again.out
    assert f"  diverged: attack.drift_weight steep: {told}\n" in again.out
    assert done == vouched_for(tmp_path / "runs")
    tried("faults", "divergences")


@pytest.mark.slow
def test_cells_on_a_control_that_diverges_have_failed_with_its_reason(
    ask: Command, tmp_path: Path, tried: Tried
) -> None:
    axes = {"attack_training.learning_rate": [0.05, 1000.0], "seed": [0, 1]}
    common = SHRUNK | {"attack_training": {"epochs": 4, "weight_decay": 1.0}}
    benchmark(tmp_path, base="digits/badnets", axes=axes, common=common)
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (1, "")
    assert "small: 4 cells: 2 done, 2 failed" in answer.out
    steep = re.compile(r"^  failed: attack_training.learning_rate 1000.0, seed \d: (.*)$", re.MULTILINE)
    told = steep.findall(answer.out)
    assert len(told) == 2
    assert all(line.startswith("its control model diverged: control model of ") for line in told)
    done = vouched_for(tmp_path / "runs")
    assert "benchmark small: 10 models, 0 to do\n" in ask(*BENCH).out
    asked = ask(*BENCH, "--retry-failed")
    assert "benchmark small: 10 models, 4 to do\n" in asked.out
    assert (asked.code, asked.err) == (1, "")
    assert (
        re.findall(r"^  failed: attack_training.learning_rate 1000.0, seed \d: (.*)$", asked.out, re.MULTILINE) == told
    )
    assert done == vouched_for(tmp_path / "runs")
    tried("faults", "divergences", 4)


def in_run_folders(before: Versions, after: Versions) -> set[str]:
    """Which files of run folders were written in between."""
    beside = (".claims/", "bench/")
    return {name for name, version in after.items() if before.get(name) != version and not name.startswith(beside)}


def test_damaged_run_folders_are_named_and_never_used_and_made_anew_when_asked(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    truncated, unmarked = worked_off.of("digits-badnets", 1), worked_off.of("digits-full", 1)
    control = worked_off.of("control")
    store = worked_off.copied(tmp_path)
    cut(store.runs / control.name / "result.json")
    cut(store.runs / truncated.name / "result.json")
    emptied(store.runs / unmarked.name / ".evaluate-done.json")
    before = written_by(store.runs)
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (1, "")
    assert "small: 4 cells: 2 done, 2 failed" in answer.out
    for what, told in (
        ("recipe digits/badnets, seed 1", f"'runs/{truncated.name}/result.json' was changed since the run wrote it; "),
        ("recipe digits/full-disguise, seed 1", f"'runs/{unmarked.name}/.evaluate-done.json' is damaged; "),
        (control.name, f"'runs/{control.name}/result.json' was changed since the run wrote it; "),
    ):
        assert f"  failed: {what}: {told}" in answer.out
    assert in_run_folders(before, written_by(store.runs)) == set()
    mended = ask(*BENCH, "--retry-failed")
    assert (mended.code, mended.err) == (0, "")
    assert_same_bench(store, worked_off)
    assert weights_in(in_run_folders(before, written_by(store.runs))) == set(), "nothing is trained again"
    tried("faults", "damaged files", 3)


def weights_in(names: set[str]) -> set[str]:
    return {name for name in names if name.endswith("/model.safetensors")}


@pytest.mark.slow
def test_damaged_weights_are_named_by_what_stands_on_them_and_trained_anew_when_asked(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    gone, clean = worked_off.of("digits-badnets"), worked_off.of("clean")
    store = worked_off.copied(tmp_path, gone)
    edited(store.runs / clean.name / "model.safetensors")
    before = written_by(store.runs)
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (1, "")
    assert "small: 4 cells: 3 done, 1 failed" in answer.out
    told = f"'runs/{clean.name}/model.safetensors' was changed since the run wrote it; "
    assert f"  failed: recipe digits/badnets, seed 0: {told}" in answer.out
    assert in_run_folders(before, written_by(store.runs)) == {f"{gone.name}/failure.json"}
    mended = ask(*BENCH, "--retry-failed")
    assert (mended.code, mended.err) == (0, "")
    assert_same_bench(store, worked_off)
    trained = weights_in(in_run_folders(before, written_by(store.runs)))
    assert trained == {f"{gone.name}/model.safetensors", f"{clean.name}/model.safetensors"}
    tried("faults", "damaged files")


@pytest.mark.slow
@pytest.mark.parametrize("role", ["clean", "control"])
def test_a_model_that_nothing_vouches_for_is_made_anew_where_others_are_to_stand_on_it(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, role: str
) -> None:
    store = worked_off.copied(tmp_path, worked_off.of("digits-badnets"), worked_off.of("digits-full"))
    (store.runs / worked_off.of(role).name / ".train-done.json").unlink()
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (0, "")
    assert "benchmark small: 10 models, 3 to do\n" in answer.out
    assert_same_bench(store, worked_off)
    tried("faults", "damaged files")


def test_an_export_tells_what_is_damaged(ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried) -> None:
    broken, numberless = worked_off.of("digits-badnets", 1), worked_off.of("digits-full", 0)
    store = worked_off.copied(tmp_path)
    cut(store.runs / broken.name / "result.json")
    cut(store.runs / numberless.name / "values.npz")
    answer = ask("bench", "export", FILE, "--format", "markdown", "--into", "tables")
    assert (answer.code, answer.out.endswith("tables/leaderboard.md\n")) == (0, True)
    failed, *not_compared = answer.err.splitlines()
    assert f"failed: recipe digits/badnets, seed 1: 'runs/{broken.name}/result.json' was changed" in failed
    told = f"not compared: '{numberless.name}/values.npz' is damaged; --retry-failed makes it anew"
    assert not_compared == [f"falsewitness: {told}"]
    assert told in (tmp_path / "tables" / "leaderboard.md").read_text(encoding="utf-8")
    tried("faults", "damaged files", 2)


@pytest.mark.parametrize("role", ["clean", "control"])
def test_a_damaged_result_below_finished_cells_is_named(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, role: str
) -> None:
    folder = worked_off.of(role)
    store = worked_off.copied(tmp_path)
    cut(store.runs / folder.name / "result.json")
    for words in (("bench", "status", FILE), BENCH):
        answer = ask(*words)
        assert answer.code == (1 if words == BENCH else 0)
        assert "small: 4 cells: 4 done\n" in answer.out
        assert f"  failed: {folder.name}: 'runs/{folder.name}/result.json' was changed since " in answer.out
    tried("faults", "damaged files")


def test_two_drivers_on_one_store_share_the_work_and_do_nothing_twice(
    begin: Begin, ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    gone = [folder for folder in worked_off.of_seed(1) if not folder.name.startswith("digits-full")]
    store = worked_off.copied(tmp_path, *gone)
    other = driver(begin, store)
    until(lambda: listens(other.process.pid), other.process)
    answers = [ask(*BENCH), other.end()]
    assert [(answer.code, answer.err) for answer in answers] == [(0, ""), (0, "")]
    assert all("small: 4 cells: 4 done\n" in answer.out for answer in answers), "nobody leaves before the end"
    assert begun_by(answers) == dict.fromkeys((folder.name for folder in gone), 1)
    assert_same_bench(store, worked_off)
    tried("faults", "two at once")


def begun_by(answers: Sequence[Answer]) -> Counter[str]:
    """How often each model was done in all, not counting where a driver hears that another has done it."""
    return Counter(re.findall(r"^(\S+): done in ", "".join(answer.out for answer in answers), re.MULTILINE))


@pytest.mark.slow
def test_a_driver_with_machines_of_its_own_and_one_with_processes_here_share_the_work(
    begin: Begin, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    benchmark(tmp_path)
    store = Store(tmp_path)
    drivings = [driver(begin, store), driver(begin, store, "--executor", "{kind: ray, cpus: 1, workers: 1}")]
    answers = [driving.end(limit=600) for driving in drivings]
    assert [(answer.code, answer.err) for answer in answers] == [(0, ""), (0, "")]
    assert all("small: 4 cells: 4 done\n" in answer.out for answer in answers), "nobody leaves before the end"
    assert begun_by(answers) == dict.fromkeys((folder.name for folder in folders_of(worked_off.runs)), 1)
    assert_same_bench(store, worked_off)
    tried("faults", "two at once")


@pytest.mark.slow
def test_of_three_drivers_that_begin_at_once_one_may_be_killed_and_the_others_do_everything_once(
    begin: Begin, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    benchmark(tmp_path)
    store = Store(tmp_path)
    killed, *others = [driver(begin, store) for _ in range(3)]
    _, answer = killed.ended_in("control", signal.SIGKILL, random.Random(5))
    assert (answer.code, answer.err) == (-signal.SIGKILL, "")
    answers = [driving.end() for driving in others]
    assert [(answer.code, answer.err) for answer in answers] == [(0, ""), (0, "")]
    assert all("small: 4 cells: 4 done\n" in answer.out for answer in answers), "nobody leaves before the end"
    begun = begun_by([answer, *answers])
    assert set(begun.values()) == {1}
    assert_same_bench(store, worked_off)
    tried("kills", "driver beside others")
    tried("faults", "SIGKILL")
    tried("faults", "two at once")


def test_on_ray_all_cells_are_done_with_the_same_bits_and_no_path_of_the_workers_machine_is_left(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [worked_off.of(name) for name in ("clean", "digits-badnets")]
    store = worked_off.copied(tmp_path, *gone)
    mark = mark_own(monkeypatch, store)
    answer = ask(*BENCH, "--executor", "{kind: ray, cpus: 1, workers: 2}")
    assert (answer.code, answer.err) == (0, "")
    assert_nobody_left(mark)
    assert_same_bench(store, worked_off)
    assert_names_no_place_of_workers(store)
    tried("faults", "machines without our disk")


def assert_names_no_place_of_workers(store: Store) -> None:
    for folder in folders_of(store.runs):
        for file in folder.iterdir():
            assert b"/tmp/falsewitness-" not in file.read_bytes(), file


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster of Ray's whose head has one core."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_a_driver_and_one_of_two_machines_of_a_ray_cluster_may_die_and_the_other_does_everything(
    begin: Begin, cluster: Cluster, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    benchmark(tmp_path)
    store = Store(tmp_path)
    second = cluster.add_node(num_cpus=1)
    (raylet,) = (one.process.pid for one in second.all_processes["raylet"])
    executor = f"{{kind: ray, address: '{cluster.address}', cpus: 1}}"
    killed = driver(begin, store, "--executor", executor)
    until(lambda: any(works_on_a_run_folder(worker) for worker in children_of(raylet)), killed.process, 180)
    killed.process.kill()
    assert_ended_by(signal.SIGKILL, end_of(killed.process))
    assert_nobody_left(killed.mark, seconds=120)
    deadline = time.monotonic() + 60
    while any(works_on_a_run_folder(worker) for worker in children_of(raylet)):
        assert time.monotonic() < deadline, "a machine works for a driver that is gone"
        time.sleep(0.01)

    driving = driver(begin, store, "--executor", executor)
    until(lambda: any(works_on_a_run_folder(worker) for worker in children_of(raylet)), driving.process, 180)
    cluster.remove_node(second, allow_graceful=False)
    answer = driving.end()
    assert (answer.code, answer.err) == (0, "")
    assert len(re.findall(r"^\S+: \w*Died\w*: .*; tried again$", answer.out, re.MULTILINE)) == 1, answer.out
    assert_same_bench(store, worked_off)
    assert_names_no_place_of_workers(store)
    tried("kills", "driver of a cluster")
    tried("kills", "machine of a cluster")
    tried("faults", "machines that die")
    tried("faults", "SIGKILL")


@pytest.mark.slow
def test_a_reader_that_goes_away_leaves_nobody_and_the_benchmark_resumable(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    store = worked_off.copied(tmp_path, worked_off.of("digits-badnets"))
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        program = [str(Path(sys.executable).with_name("falsewitness")), *BENCH]
        left = subprocess.run(
            program, cwd=tmp_path, env=environment(), stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert left.stderr == ""
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (0, "")
    assert_same_bench(store, worked_off)
    tried("faults", "readers that go away")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_is_ended_takes_its_own_ray_with_it(
    begin: Begin, ask: Command, worked_off: WorkedOff, tmp_path: Path, tried: Tried, number: signal.Signals
) -> None:
    benchmark(tmp_path)
    store = Store(tmp_path)
    driving = driver(begin, store, "--executor", "{kind: ray, cpus: 1, workers: 1}")
    until(lambda: any(works_on_a_run_folder(process) for process in marked(driving.mark)), driving.process, 180)
    driving.process.send_signal(number)
    assert_ended_by(number, end_of(driving.process))
    assert_nobody_left(driving.mark, seconds=120)  # Ray's agents try for a minute to tell their head
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (0, "")
    assert_same_bench(store, worked_off)
    tried("faults", number.name)
