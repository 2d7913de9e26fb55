"""Ray: a cluster of two machines, which are two of Ray's nodes on this one, and what a user can get wrong."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from pydantic import ValidationError
from ray.cluster_utils import Cluster

from falsewitness.core import InputError
from falsewitness.execution import Pool
from falsewitness.execution._ray_pool import Share
from falsewitness.execution.ray import Ray

from . import calls
from .support import LONGEST_WAIT, all_ended, process_at, value_of

Machine = Any
"""A node of Ray's, which has no public type."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def second(cluster: Cluster) -> Machine:
    return cluster.add_node(num_cpus=2)


@pytest.fixture(scope="module")
def pool(cluster: Cluster, second: Machine) -> Iterator[Pool]:
    with Ray(address=cluster.address, cpus=2).open() as opened:
        yield opened


def test_it_has_room_on_both_machines_and_as_many_threads_as_cores(pool: Pool) -> None:
    assert pool.slots == 2
    assert value_of(pool, os.getenv, "OMP_NUM_THREADS") == "2"


def test_a_machine_that_dies_takes_only_its_own_call_with_it(
    pool: Pool, cluster: Cluster, second: Machine, tmp_path: Path
) -> None:
    places, leave = [tmp_path / name for name in ("a", "b")], tmp_path / "leave"
    for place in places:  # each stays until both are there, or a fast one would let the other follow it
        pool.submit(place.name, calls.stay_after_saying_so, place, leave)
    pool.ended(0.1)
    parent_of = {place.name: _parent(process_at(place)) for place in places}
    raylet = second.all_processes["raylet"][0].process.pid
    there = [name for name, parent in parent_of.items() if parent == raylet]
    assert len(there) == 1

    cluster.remove_node(second, allow_graceful=False)
    pool.submit("later", abs, -1)
    (lost,) = pool.ended(LONGEST_WAIT)
    assert (lost.key, lost.status) == (there[0], "lost")
    assert lost.fault.startswith("NodeDiedError: ")
    leave.touch()
    ended = all_ended(pool)
    assert ended.keys() == {"a", "b", "later"} - {lost.key}
    assert {one.status for one in ended.values()} == {"done"}


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_second_pool_at_once_is_refused_and_leaves_the_first_alone(pool: Pool) -> None:
    with pytest.raises(InputError, match="executor 'ray': Ray cannot start here: "), Ray().open():
        pass
    assert value_of(pool, abs, -1) == 1


def test_a_call_that_no_machine_has_room_for_is_refused(cluster: Cluster) -> None:
    ray.shutdown()
    wanted = r"expected a machine with the 64 CPUs and 0 GPUs of a call, got 2 CPUs and 0 GPUs"
    with pytest.raises(InputError, match=wanted), Ray(address=cluster.address, cpus=64).open():
        pass


def test_a_cluster_that_does_not_answer_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(InputError) as caught, Ray(address=f"127.0.0.1:{port}").open():
        pass
    assert time.monotonic() - began < 3
    assert str(caught.value).startswith(f"executor 'ray': the cluster at '127.0.0.1:{port}' cannot be reached: ")


def test_it_says_how_ray_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'falsewitness\[ray\]'"), Ray().open():
        pass


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("address", "ray://head:10001", "expected host:port of the cluster's head, or auto, got 'ray://head:10001'"),
        ("address", "head", "expected host:port of the cluster's head, or auto, got 'head'"),
        ("gpus", 1.5, "expected a part of one GPU or a whole number of them, got 1.5"),
    ],
)
def test_a_wrong_field_is_told(field: str, value: object, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        Ray.model_validate({field: value})


@pytest.mark.parametrize(
    ("cpus", "gpus", "machine", "room"),
    [
        (1, 0, {"CPU": 4.0}, 4),
        (0.1, 0, {"CPU": 1.0}, 10),
        (3, 0, {"CPU": 8.0, "GPU": 2.0}, 2),
        (1, 1, {"CPU": 8.0, "GPU": 2.0}, 2),
        (1, 0.5, {"CPU": 8.0, "GPU": 2.0}, 4),
        (1, 0.6, {"CPU": 8.0, "GPU": 3.0}, 3),
        (1, 2, {"CPU": 8.0, "GPU": 3.0}, 1),
        (1, 1, {"CPU": 8.0}, 0),
        (1, 0, {}, 0),
    ],
)
def test_how_many_calls_a_machine_has_room_for(cpus: float, gpus: float, machine: dict[str, float], room: int) -> None:
    assert Share(cpus, gpus).fits_into(machine) == room
