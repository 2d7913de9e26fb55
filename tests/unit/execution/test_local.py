"""Processes of this machine: what else may become of them and of the process that starts them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from falsewitness.core import InputError
from falsewitness.execution import Pool
from falsewitness.execution import local as room
from falsewitness.execution.local import Local

from . import calls
from .support import all_ended, gone, process_at, value_of

DRIVER = Path(__file__).with_name("driver_of_a_pool.py")
TESTS = Path(__file__).parents[2]


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Local(workers=2, threads=1).open() as opened:
        yield opened


def test_a_process_stays_for_the_next_call_and_costs_next_to_nothing(pool: Pool) -> None:
    first = value_of(pool, os.getpid)
    began = time.perf_counter()
    assert {value_of(pool, os.getpid) for _ in range(50)} == {first}
    assert (time.perf_counter() - began) / 50 < 0.005


def test_a_process_that_is_killed_while_it_is_free_is_replaced(pool: Pool) -> None:
    process = value_of(pool, os.getpid)
    os.kill(process, signal.SIGKILL)
    assert gone(process, within=2)
    assert value_of(pool, os.getpid) != process


def test_a_process_that_is_killed_while_it_answers_loses_only_that(pool: Pool) -> None:
    process = value_of(pool, os.getpid)
    pool.submit("large", calls.zeros, 50_000_000)
    time.sleep(0.5)  # in which it fills its pipe; nobody reads
    os.kill(process, signal.SIGKILL)
    pool.submit("other", abs, -1)
    ended = all_ended(pool)
    assert {key: one.status for key, one in ended.items()} == {"large": "lost", "other": "done"}
    assert ended["large"].fault == f"process {process} was killed by SIGKILL"


def test_a_process_that_does_not_start_loses_its_call_and_is_replaced(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falsewitness.execution._process._STARTS_WITHIN", 0.5)
    pool.submit("call", abs, -1)
    (process,) = multiprocessing.active_children()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    ended = all_ended(pool)["call"]
    assert (ended.status, ended.fault) == ("lost", f"process {process.pid} did not start within 0.5 s")
    monkeypatch.undo()
    assert value_of(pool, abs, -1) == 1


def test_a_call_that_leaves_the_process_is_lost(pool: Pool) -> None:
    pool.submit("call", os._exit, 0)
    ended = all_ended(pool)["call"]
    assert (ended.status, ended.fault) == ("lost", f"{ended.worker} ended with exit code 0")


def test_a_large_argument_for_a_process_that_starts_does_not_hold_others_up(pool: Pool) -> None:
    began = time.monotonic()
    pool.submit("large", np.sum, np.ones(5_000_000))
    submitted = time.monotonic()
    assert all_ended(pool)["large"].value == 5_000_000
    # Most of the wait is for the process to start, however busy the machine is.
    assert submitted - began < (time.monotonic() - began) / 2


def test_torch_has_the_threads_asked_for_or_a_fair_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with Local(threads=3).open() as pool:
        assert value_of(pool, calls.threads) == ("3", 3)
    cores = len(os.sched_getaffinity(0))
    with Local(workers=cores + 1).open() as pool:
        assert value_of(pool, os.getenv, "OMP_NUM_THREADS") == "1"
    with Local().open() as pool:
        assert value_of(pool, os.getenv, "OMP_NUM_THREADS") == str(cores)


@pytest.mark.parametrize(
    ("allowed", "threads"), [("1", "1"), ("1,4", "1"), ("9999", None), ("0", None), ("many", None)]
)
def test_a_share_of_the_cores_is_no_more_than_the_environment_allows(
    monkeypatch: pytest.MonkeyPatch, allowed: str, threads: str | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    with Local().open() as pool:
        assert value_of(pool, os.getenv, "OMP_NUM_THREADS") == (threads or str(len(os.sched_getaffinity(0))))


def test_each_process_has_a_gpu_of_its_own_and_its_successor_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "visible_gpus", lambda: ("4", "7"))
    with Local(workers=2, threads=1).open() as pool:
        for key in ("a", "b"):
            pool.submit(key, calls.process_and_gpu)
        before = {one.value[1]: one.value[0] for one in all_ended(pool).values()}
        assert before.keys() == {"4", "7"}
        os.kill(before["7"], signal.SIGKILL)
        assert gone(before["7"], within=2)
        for key in ("a", "b"):
            pool.submit(key, calls.process_and_gpu)
        after = {one.value[1]: one.value[0] for one in all_ended(pool).values()}
    assert after.keys() == {"4", "7"}
    assert after["4"] == before["4"]
    assert after["7"] != before["7"]


def test_more_workers_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "visible_gpus", lambda: ("0", "1"))
    with pytest.raises(InputError, match=r"expected workers <= 2, .* got 3"), Local(workers=3).open():
        pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_driver_and_none_complains(how: signal.Signals, tmp_path: Path) -> None:
    driver = subprocess.Popen(
        [sys.executable, str(DRIVER), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers = [process_at(tmp_path / name) for name in ("busy", "asleep")]
    if how == signal.SIGKILL:
        driver.kill()
    else:
        os.killpg(driver.pid, how)  # as a terminal does
    _, said = driver.communicate(timeout=10)
    assert all(gone(worker, within=2) for worker in workers)
    assert said == ("" if how == signal.SIGKILL else "left\n")
