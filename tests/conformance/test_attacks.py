"""Every attack through one contract, against every surrogate; a new one is picked up by itself."""

from typing import Any

import pytest
from tests.conformance.small import SMALL

from falsewitness.attacks import ATTACKS, Attack
from falsewitness.conformance import check_component
from falsewitness.explainers import EXPLAINERS

REQUIRED_FIELDS: dict[str, dict[str, Any]] = {}
SURROGATES = [kind for kind in EXPLAINERS.kinds() if EXPLAINERS.get(kind).surrogate]


def default(kind: str, **fields: object) -> Attack:
    """Build an attack with a value for every field that has no default."""
    cls = ATTACKS.get(kind)
    known = {
        "trigger": {"kind": "patch", "size": 4},
        "poison": {"rate": 0.1},
        "target_class": 3,
        "surrogate": {"kind": "gradcam"},
    }
    raw = {name: value for name, value in known.items() if name in cls.model_fields}
    return cls.parse({"kind": kind, **raw, **REQUIRED_FIELDS.get(kind, {}), **fields}, kind)


@pytest.mark.parametrize("kind", ATTACKS.kinds())
def test_it_keeps_the_contract(kind: str) -> None:
    check_component(default(kind))


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("kind", [kind for kind in ATTACKS.kinds() if "surrogate" in ATTACKS.get(kind).model_fields])
def test_it_keeps_it_against_every_surrogate_and_while_it_holds_clean_maps(kind: str, surrogate: str) -> None:
    check_component(default(kind, surrogate={"kind": surrogate, **SMALL.get(surrogate, {})}, drift_weight=0.5))


@pytest.mark.parametrize("distance", ["mse_minmax", "mse_standardised", "dssim"])
@pytest.mark.parametrize("reference", ["self", "self_detached", "original"])
def test_a_disguise_keeps_it_with_every_reference_and_distance(reference: str, distance: str) -> None:
    check_component(default("full_disguise", reference=reference, distance=distance))


@pytest.mark.parametrize("mode", ["replace", "append", "paired"])
@pytest.mark.parametrize("kind", ATTACKS.kinds())
def test_it_keeps_it_in_every_mode_of_poisoning(kind: str, mode: str) -> None:
    check_component(default(kind, poison={"rate": 0.5, "mode": mode, "classes": [0, 1, 2, 4, 5, 6]}))


@pytest.mark.parametrize("kind", ATTACKS.kinds())
def test_its_module_is_called_as_it_is(kind: str) -> None:
    cls = ATTACKS.get(kind)
    assert cls.__module__.endswith(f".{kind}") or not cls.__module__.startswith("falsewitness.")
