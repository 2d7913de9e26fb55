"""What does not fit is known before an image is read."""

from typing import Any

import pytest

from falsewitness.core import DataInfo, SpecError
from falsewitness.triggers import TRIGGERS

GREY = DataInfo(1, 8, 10, ("one", "other"))
COLOUR = DataInfo(3, 8, 10, ("one", "other"))


@pytest.mark.parametrize(
    ("trigger", "info", "fault"),
    [
        (
            {"kind": "patch", "size": 9},
            COLOUR,
            "size: expected a square within 8x10 pixels, got 9x9 with margin 0",
        ),
        ({"kind": "patch", "size": 3, "margin": 6}, COLOUR, "got 3x3 with margin 6"),
        ({"kind": "patch", "size": 3, "margin": 6, "corner": "upper_left"}, COLOUR, "got 3x3 with margin 6"),
        ({"kind": "patch", "size": 3, "position": [0, 8]}, COLOUR, "got 3x3 at [0, 8]"),
        ({"kind": "patch", "size": 3, "position": [6, 0]}, COLOUR, "got 3x3 at [6, 0]"),
        ({"kind": "patch", "colour": [1, 0, 0]}, GREY, "colour: expected 1 value for grey images, got 3"),
        ({"kind": "patch", "colour": [1, 0]}, COLOUR, "colour: expected 1 or 3 values, got 2"),
        ({"kind": "patch", "ring": [1, 0]}, COLOUR, "ring: expected 1 or 3 values, got 2"),
        ({"kind": "checkerboard", "first": [1, 0]}, COLOUR, "first: expected 1 or 3 values, got 2"),
        ({"kind": "checkerboard", "second": [1, 0]}, COLOUR, "second: expected 1 or 3 values, got 2"),
        ({"kind": "checkerboard", "size": 11}, COLOUR, "size: expected a square within 8x10"),
        (
            {"kind": "border", "width": 4},
            COLOUR,
            "width: expected a frame that leaves room in 8x10 pixels, got 4",
        ),
        ({"kind": "border", "colour": [1, 0, 0]}, GREY, "colour: expected 1 value for grey images, got 3"),
    ],
)
def test_a_trigger_that_does_not_fit_says_why(trigger: dict[str, Any], info: DataInfo, fault: str) -> None:
    bound = TRIGGERS.get(trigger["kind"]).parse(trigger, "trigger")
    (found,) = bound.check(info)
    assert fault in str(found)
    with pytest.raises(SpecError, match=f"trigger '{trigger['kind']}' has 1 fault"):
        bound.bind(info)


@pytest.mark.parametrize(
    "trigger",
    [
        {"kind": "patch", "size": 8},
        {"kind": "patch", "size": 3, "margin": 5},
        {"kind": "patch", "size": 3, "position": [5, 7], "margin": 100},
        {"kind": "border", "width": 3},
        {"kind": "checkerboard", "size": 8, "cell": 7},
    ],
)
def test_a_trigger_that_just_fits_has_no_fault(trigger: dict[str, Any]) -> None:
    assert TRIGGERS.get(trigger["kind"]).parse(trigger, "trigger").check(COLOUR) == []


@pytest.mark.parametrize(
    ("trigger", "fault"),
    [
        ({"kind": "patch", "size": 0}, "size: expected a value >= 1, got 0"),
        ({"kind": "patch", "margin": -1}, "margin: expected a value >= 0, got -1"),
        ({"kind": "patch", "position": [-1, 0]}, r"position\[0\]: expected a value >= 0, got -1"),
        ({"kind": "patch", "colour": [1.5]}, r"colour\[0\]: expected a value <= 1.0, got 1.5"),
        ({"kind": "patch", "corner": "middle"}, "corner: expected 'upper_left'"),
        ({"kind": "patch", "size": 2, "ring": [0]}, "expected a size of at least 3 with a ring, got 2"),
        ({"kind": "checkerboard", "size": 4, "cell": 4}, "expected a cell smaller than the size 4, got 4"),
        ({"kind": "blend", "alpha": 0}, "alpha: expected a value > 0.0, got 0"),
        ({"kind": "sinusoid", "amplitude": 2}, "amplitude: expected a value <= 1.0, got 2"),
        ({"kind": "image"}, "path: missing"),
    ],
)
def test_a_value_out_of_range_is_refused(trigger: dict[str, Any], fault: str) -> None:
    with pytest.raises(SpecError, match=fault):
        TRIGGERS.get(trigger["kind"]).parse(trigger, "trigger")
