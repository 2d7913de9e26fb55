import resource
from pathlib import Path

import numpy as np
import pytest
from tests.unit.training.conftest import Painted, Tiny, trained

from falsewitness.training import _loop
from falsewitness.training._memory import keep_freed_memory

PAGES = 2**14


def pages_cleared_by_the_system() -> int:
    """Fill a block of as many pages, free it, and return how many of them the process did not have before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = np.empty(PAGES * 4096, dtype=np.uint8)
    block.fill(1)
    del block
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_memory_that_was_freed_is_there_when_it_is_asked_for_again() -> None:
    if not keep_freed_memory():
        pytest.skip("needs glibc")
    pages_cleared_by_the_system()
    assert pages_cleared_by_the_system() < PAGES / 100
    assert keep_freed_memory(), "asking again must be harmless"
    assert pages_cleared_by_the_system() < PAGES / 100


def test_a_training_on_a_cpu_asks_for_it_once(
    tiny: Tiny, painted: Painted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    monkeypatch.setattr(_loop, "keep_freed_memory", lambda: calls.append(None))
    trained(tiny(), painted(24), tmp_path)
    assert len(calls) == 1
