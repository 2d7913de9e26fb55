"""Two processes that share every batch end with the weights of one that has it whole."""

import json
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

PROGRAM = Path(__file__).with_name("process_of_a_group.py")
TOLERANCE = 2e-6
"""Of weights in single precision, whose gradients two processes add up in another order; in six steps they move by a
thousand times as much."""


@dataclass(frozen=True)
class Ended:
    """What one process left behind."""

    weights: dict[str, Tensor]
    told: dict[str, Any]


def ended(shared: Path, rank: int) -> Ended:
    return Ended(load_file(shared / f"{rank}.safetensors"), json.loads((shared / f"{rank}.json").read_text()))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    shared = tmp_path_factory.mktemp("alone")
    runpy.run_path(str(PROGRAM))["main"](0, 1, shared)
    return ended(shared, 0)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Ended]:
    shared = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-W", "error", str(PROGRAM)]
    processes = [
        subprocess.Popen([*command, str(rank), "2", str(shared)], stderr=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return [ended(shared, rank) for rank in (0, 1)]


def test_two_processes_end_with_the_weights_of_one(alone: Ended, two: list[Ended]) -> None:
    for one in two:
        torch.testing.assert_close(one.weights, alone.weights, rtol=0, atol=TOLERANCE)


def test_two_processes_end_with_equal_weights(two: list[Ended]) -> None:
    first, second = (one.weights for one in two)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_first_process_tells_losses_and_terms_of_the_whole_batch(alone: Ended, two: list[Ended]) -> None:
    first, second = (one.told for one in two)
    assert second["records"] == []
    for found, expected in zip(first["records"], alone.told["records"], strict=True):
        assert found.pop("terms", {}) == pytest.approx(expected.pop("terms", {}), abs=1e-5)
        assert found.pop("loss", 0) == pytest.approx(expected.pop("loss", 0), abs=1e-5)
        assert found == expected


def test_the_cost_is_that_of_all_processes(alone: Ended, two: list[Ended]) -> None:
    assert [one.told["passes"] for one in two] == [alone.told["passes"]] * 2
