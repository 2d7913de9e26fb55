"""What every pool does, whatever its workers are."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from falsewitness.execution import EXECUTORS, Pool

from . import calls
from .support import all_ended, executor, gone, process_at


@dataclass
class Opened:
    """A pool that a test may close."""

    pool: Pool
    close: Callable[[], None]


@pytest.fixture(scope="module", params=["local", "ray", "slurm"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with ExitStack() as stack:
        pool = stack.enter_context(executor(request.param, tmp_path_factory.mktemp("jobs")).open())
        if request.param == "ray":  # whose second worker takes seconds to start
            for key in ("first", "second"):
                pool.submit(key, time.sleep, 1.5)
            all_ended(pool)
        yield Opened(pool, stack.close)


@pytest.fixture(scope="module")
def pool(opened: Opened) -> Pool:
    return opened.pool


def test_every_kind_is_tested() -> None:
    assert EXECUTORS.kinds() == ("local", "ray", "slurm")


def test_a_call_gives_its_value(pool: Pool) -> None:
    pool.submit("power", pow, 2, 10)
    with pytest.raises(ValueError, match="expected a key that no running call has, got 'power'"):
        pool.submit("power", pow, 2, 11)
    (ended,) = all_ended(pool).values()
    assert (ended.key, ended.status, ended.value, ended.fault) == ("power", "done", 1024, "")
    assert ended.worker
    assert 0 <= ended.seconds < 1


def test_what_a_call_raises_is_told_in_one_line(pool: Pool) -> None:
    pool.submit("anything", int, "x")
    pool.submit("for people", calls.refuse, "this")
    pool.submit("exit", sys.exit, 3)
    assert pool.slots == 2  # one of them has to wait
    assert pool.running() == ("anything", "for people", "exit")
    ended = all_ended(pool)
    assert {key: one.fault for key, one in ended.items()} == {
        "anything": "ValueError: invalid literal for int() with base 10: 'x'",
        "for people": "expected something else, got this",
        "exit": "SystemExit: 3",
    }
    assert {(one.status, one.value) for one in ended.values()} == {("raised", None)}


def test_ends_come_in_the_order_of_ending(pool: Pool) -> None:
    pool.submit("long", time.sleep, 1.5)
    pool.submit("short", time.sleep, 0.1)
    assert pool.running() == ("long", "short")
    assert list(all_ended(pool)) == ["short", "long"]
    assert pool.running() == ()


def test_a_call_over_its_limit_is_killed_and_no_other(pool: Pool) -> None:
    pool.submit("endless", time.sleep, 60, limit=0.5)
    pool.submit("other", time.sleep, 0.9, limit=30)
    pool.submit("next", abs, -1, limit=30)
    ended = all_ended(pool)
    assert {key: one.status for key, one in ended.items()} == {"endless": "timed out", "other": "done", "next": "done"}
    assert ended["endless"].fault == "ran longer than its limit of 0.5 s and was killed"
    assert 0.5 <= ended["endless"].seconds < 2


def test_a_worker_that_dies_takes_only_its_own_call_with_it(pool: Pool) -> None:
    pool.submit("other", time.sleep, 0.9)
    pool.submit("deadly", calls.die)
    pool.submit("next", abs, -1)
    ended = all_ended(pool)
    assert {key: one.status for key, one in ended.items()} == {"other": "done", "deadly": "lost", "next": "done"}
    assert ended["deadly"].fault
    assert "\n" not in ended["deadly"].fault


def test_what_cannot_be_sent_either_way_is_told(pool: Pool) -> None:
    pool.submit("there", id, threading.Lock())
    pool.submit("back", calls.what_nobody_can_send)
    ended = all_ended(pool)
    assert {key: one.status for key, one in ended.items()} == {"there": "raised", "back": "raised"}
    assert all("TypeError" in one.fault for one in ended.values())


def test_a_large_value_is_shared_by_calls(pool: Pool) -> None:
    shared = pool.share(np.arange(5_000_000))
    for key in ("first", "second"):
        pool.submit(key, np.sum, shared)
    assert [one.value for one in all_ended(pool).values()] == [12_499_997_500_000] * 2


def test_it_answers_at_once_where_nothing_runs_and_waits_no_longer_than_asked(pool: Pool) -> None:
    began = time.monotonic()
    assert pool.ended(20) == []
    assert time.monotonic() - began < 0.5
    pool.submit("call", time.sleep, 0.8)
    began = time.monotonic()
    assert pool.ended(0.3) == []
    assert 0.25 < time.monotonic() - began < 0.7
    all_ended(pool)


def test_closing_stops_what_runs_and_what_waits(opened: Opened, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("first", "second", "waits")]
    for place in places:
        opened.pool.submit(place.name, calls.sleep_after_saying_so, place, 60.0)
    opened.pool.ended(0.5)
    processes = [process_at(place) for place in places[:2]]
    began = time.monotonic()
    opened.close()
    assert time.monotonic() - began < 8
    assert all(gone(process, within=3) for process in processes)
    assert not places[2].exists()
