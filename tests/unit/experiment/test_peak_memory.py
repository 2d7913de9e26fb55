"""Memory is counted from where a training begins, whatever the process held before."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from falsewitness.experiment._environment import forget_peak_memory, peak_memory_mb
from falsewitness.training._memory import keep_freed_memory

CPU = torch.device("cpu")


def held(megabytes: int) -> None:
    """Hold so much memory for a moment, in blocks of which the C library may keep what was freed."""
    blocks = [np.ones(25_000_000) for _ in range(megabytes // 200)]
    del blocks


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot forget what a process held")
def test_what_was_held_before_does_not_count() -> None:
    keep_freed_memory()  # as a training does
    forget_peak_memory(CPU)
    before = peak_memory_mb(CPU)
    held(800)
    most = peak_memory_mb(CPU)
    assert most > before + 400, "half of it is left to a system that takes other pages back meanwhile"
    forget_peak_memory(CPU)
    assert peak_memory_mb(CPU) < most - 400


def test_a_system_that_cannot_forget_tells_the_most_that_was_ever_held(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_STATUS", "_PEAK_RESET"):
        monkeypatch.setattr(f"falsewitness.experiment._environment.{name}", Path("/no/such/file"))
    forget_peak_memory(CPU)
    assert peak_memory_mb(CPU) > 100
