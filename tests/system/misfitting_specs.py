"""Draws specs that are sound in form but do not fit their data, or whose parts do not fit one another."""

from typing import Any

from hypothesis import strategies as st
from tests.system.faulty_specs import SPECS, as_yaml, put_faults

from falsewitness.experiment import Spec


def misfits(spec: Spec) -> dict[str, tuple[dict[str, Any], str]]:
    """What can be wrong between a spec of sound form and its data: the changed fields, and what has to be said.

    Returns:
        By the path that has to be named.
    """
    info = spec.data.info()
    found: dict[str, tuple[dict[str, Any], str]] = {
        "data.train_limit": ({"data.train_limit": 2}, "at least one image a class (10), got 2"),
        "clean_training.augmentation.crop_padding": (
            {"clean_training.augmentation.crop_padding": info.width},
            "a shift that leaves something",
        ),
        f"auditors[{len(spec.auditors)}]": (
            {"auditors": [*spec.plain()["auditors"], spec.plain()["auditors"][0]]},
            "expected another than auditors[0], got the same",
        ),
        "metrics[1]": ({"metrics": [{"kind": "drift"}, {"kind": "drift"}]}, "a kind is measured once"),
        "model.pretrained": ({"model.pretrained": "nowhere.safetensors"}, "nowhere.safetensors"),
    }
    if spec.attack is None:
        return found | {
            "attack_training": ({"attack_training": {"epochs": 1}}, "expected none where there is no attack")
        }
    found |= {
        "attack_training": ({"attack_training": None}, "missing; an attack needs to be told"),
        "attack.trigger.size": ({"attack.trigger.size": info.width + 1}, "expected a square within"),
        "attack.trigger.colour": ({"attack.trigger.colour": [0.5, 0.5]}, "got 2"),
        "attack.poison.classes": ({"attack.poison.classes": [0, 10]}, "expected classes from 0 to 9, got 10"),
    }
    if "target_class" in spec.attack.plain():
        found["attack.target_class"] = ({"attack.target_class": 10}, "expected a class from 0 to 9, got 10")
    if "target_map" in spec.attack.plain():
        found["attack.target_map"] = ({"attack.target_map": "sqare"}, "expected one of square, cross")
    return found


def faulty_spec_that_misfits() -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    """Draw the text of a spec that has faults of form, too, elsewhere but in its data, and what has to be said."""
    return st.composite(_faulty_and_misfitting)()


def spec_that_misfits() -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    """Draw the text of a spec that is sound in form but does not fit its data, and what has to be said."""
    return st.composite(_misfitting)()


def _misfitting(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    spec = draw(_SPECS)
    raw = spec.plain()
    _, expected = _put_misfits(draw, raw, spec, most=5)
    return as_yaml(raw), expected


def _faulty_and_misfitting(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    spec = draw(_SPECS)
    raw = spec.plain()
    changed, expected = _put_misfits(draw, raw, spec, most=3)
    whole = [part for path, part in _ASKED_TOGETHER.items() if path in expected]
    expected |= put_faults(draw, raw, spec, 3, [("data",), *whole, *changed])
    return as_yaml(raw), expected


def _put_misfits(
    draw: st.DrawFn, raw: dict[str, Any], spec: Spec, *, most: int
) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """Let some parts of a spec not fit; return which places were changed, and what has to be said of each."""
    possible = misfits(spec)
    chosen = draw(st.lists(st.sampled_from(sorted(possible)), min_size=1, max_size=most, unique=True))
    changes = {place: value for path in chosen for place, value in possible[path][0].items()}
    for place, value in changes.items():
        _put(raw, place.split("."), value)
    return [tuple(place.split(".")) for place in changes], {path: possible[path][1] for path in chosen}


def _put(raw: Any, path: list[str], value: object) -> None:  # noqa: ANN401
    for part in path[:-1]:
        raw = raw[part]
    raw[path[-1]] = value


_SPECS = st.sampled_from(SPECS)
_ASKED_TOGETHER = {"attack_training": ("attack",), "attack.trigger.size": ("attack", "trigger")}
"""What is asked of a part once all of it is sound."""
