"""Which GPUs there are, told by a stand-in for the driver's library."""

import ctypes
from typing import Any

import pytest

from falsewitness.execution._gpus import visible_gpus


class Library:
    """Counts three GPUs."""

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: ANN401, N802
        count._obj.value = 3
        return 0

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, ("0", "1", "2")),
        ("2, 0", ("2", "0")),
        ("GPU-8932f937", ("GPU-8932f937",)),
        ("1,-1,0", ("1",)),
        ("1,3,0", ("1",)),
        ("0,1,2,3", ("0", "1", "2")),
        ("", ()),
        ("-1", ()),
    ],
)
def test_gpus_are_those_that_may_be_seen(
    chosen: str | None, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert visible_gpus() == expected


def test_there_are_none_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert visible_gpus() == ()
