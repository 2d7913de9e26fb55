"""The one-cycle schedule, against its definition in float64."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falsewitness.training._loop import one_cycle

step_counts = st.integers(1, 300)
warmups = st.floats(0, 0.95)


def slow_one_cycle(step: int, steps: int, warmup: float) -> float:
    """Half a cosine from 1/25 up to 1, then half a cosine from 1 down to 1/10,000."""
    top = warmup * steps
    if step < top:
        return 1 / 25 + (1 - 1 / 25) * math.sin(math.pi / 2 * step / top) ** 2
    return 1 - (1 - 1e-4) * math.sin(math.pi / 2 * (step - top) / max(1, steps - top)) ** 2


@given(step_counts, warmups, st.data())
def test_the_rate_follows_the_two_cosines(steps: int, warmup: float, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, steps - 1))
    assert one_cycle(step, steps, warmup) == pytest.approx(slow_one_cycle(step, steps, warmup), abs=1e-12)


def test_known_values() -> None:
    rates = [one_cycle(step, 10, 0.4) for step in range(11)]
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[2] == pytest.approx((1 + 1 / 25) / 2)
    assert rates[4] == 1
    assert rates[7] == pytest.approx((1 + 1e-4) / 2)
    assert rates[10] == pytest.approx(1e-4)


@given(step_counts, warmups)
def test_the_rate_climbs_then_falls_and_keeps_within_its_bounds(steps: int, warmup: float) -> None:
    rates = [one_cycle(step, steps, warmup) for step in range(steps)]
    top = math.ceil(warmup * steps)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(1e-4 <= rate <= 1 for rate in rates)


def test_without_warmup_the_rate_begins_at_its_peak() -> None:
    assert one_cycle(0, 10, 0.0) == 1


def test_long_schedules_end_at_nearly_nothing() -> None:
    assert one_cycle(9_999, 10_000, 0.3) == pytest.approx(1e-4, rel=1e-3)
