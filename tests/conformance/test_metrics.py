"""Every metric through one contract; a new one without required fields is picked up by itself."""

import pytest

from falsewitness.conformance import check_component
from falsewitness.metrics import METRICS


@pytest.mark.parametrize("kind", METRICS.kinds())
def test_it_keeps_the_contract(kind: str) -> None:
    check_component(METRICS.get(kind).parse({"kind": kind}, kind))


@pytest.mark.parametrize("kind", METRICS.kinds())
def test_its_module_is_called_as_it_is(kind: str) -> None:
    cls = METRICS.get(kind)
    assert cls.__module__.endswith(f".{kind}") or not cls.__module__.startswith("falsewitness.")
