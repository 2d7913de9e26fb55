"""Checks of generated examples within a test."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

T = TypeVar("T")


def tried_all(check: Callable[[T], None], drawn: st.SearchStrategy[T], count: int) -> int:
    """Check so many examples; return how many were."""
    checked = 0

    @settings(max_examples=count, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(drawn)
    def each(one: T) -> None:
        nonlocal checked
        check(one)
        checked += 1

    each()
    assert checked >= count
    return checked
