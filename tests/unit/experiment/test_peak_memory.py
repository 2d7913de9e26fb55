"""Memory is counted from where a training begins, whatever the process held before."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from falsewitness.experiment._environment import forget_peak_memory, peak_memory_mb

CPU = torch.device("cpu")


def held(megabytes: int) -> None:
    """Hold so much memory for a moment."""
    np.ones(megabytes * 125_000)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot forget what a process held")
def test_what_was_held_before_does_not_count() -> None:
    forget_peak_memory(CPU)
    before = peak_memory_mb(CPU)
    held(400)
    assert peak_memory_mb(CPU) > before + 350
    forget_peak_memory(CPU)
    assert peak_memory_mb(CPU) < before + 50


def test_a_system_that_cannot_forget_tells_the_most_that_was_ever_held(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_STATUS", "_PEAK_RESET"):
        monkeypatch.setattr(f"falsewitness.experiment._environment.{name}", Path("/no/such/file"))
    forget_peak_memory(CPU)
    assert peak_memory_mb(CPU) > 100
