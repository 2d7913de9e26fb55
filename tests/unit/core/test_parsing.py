import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from falsewitness.core import Catalogue, Component, PathLike, SpecError, Strict

Room = Callable[..., Catalogue[Any]]


class Lid(Strict):
    width: int = 1
    open: bool = False


class Box(Strict):
    size: Annotated[int, Field(ge=1, lt=10)]
    weight: Annotated[float, Field(gt=0)] = 1.0
    label: str = ""
    lid: Lid = Lid()
    shape: Literal["cube", "sphere"] = "cube"
    sides: Annotated[tuple[int, ...], Field(strict=False, min_length=2, max_length=3)] = (1, 2)
    paper: PathLike | None = None
    cover: Literal["none", "all"] | Annotated[tuple[int, ...], Field(strict=False)] = "none"


def faults(cls: type[Strict], raw: object) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        cls.parse(raw, "box.yaml")
    return {fault.path: fault.message for fault in caught.value.faults}


def box_of(room: Catalogue[Any]) -> type[Strict]:
    class Shelf(Strict):
        toy: Annotated[Component, room]
        others: Annotated[tuple[Annotated[Component, room], ...], Field(strict=False)] = ()

    return Shelf


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("size", "3", "expected an integer, got '3'"),
        ("size", 3.0, "expected an integer, got 3.0"),
        (
            "size",
            True,
            "expected an integer, got true; YAML takes yes, no, on and off for true and false, put words in quotes",
        ),
        ("size", None, "expected an integer, got null"),
        ("size", 0, "expected a value >= 1, got 0"),
        ("size", 10, "expected a value < 10, got 10"),
        ("weight", 0, "expected a value > 0.0, got 0"),
        ("weight", "1.5", "expected a number, got '1.5'"),
        ("weight", "1e-3", "expected a number, got '1e-3'; YAML takes 1e-3 for text, write 1.0e-3"),
        (
            "weight",
            True,
            "expected a number, got true; YAML takes yes, no, on and off for true and false, put words in quotes",
        ),
        ("weight", float("nan"), "expected a finite number, got nan"),
        ("weight", float("inf"), "expected a finite number, got inf"),
        ("label", 3, "expected a string, got 3"),
        ("lid", 3, "expected a mapping, got 3"),
        ("lid", [], "expected a mapping, got []"),
        ("shape", "cub", "expected 'cube' or 'sphere', got 'cub'"),
        ("sides", 3, "expected a list, got 3"),
        ("sides", "12", "expected a list, got '12'"),
        ("sides", [1], "expected at least 2 in the list, got 1"),
        ("sides", [1, 2, 3, 4], "expected at most 3 in the list, got 4"),
        ("paper", 3, "expected a path, got 3"),
        (
            "paper",
            True,
            "expected a path, got true; YAML takes yes, no, on and off for true and false, put words in quotes",
        ),
        ("sice", 3, "unknown key (its value is 3); did you mean 'size' or 'sides'?"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_was_expected(field: str, value: object, message: str) -> None:
    assert faults(Box, {"size": 3} | {field: value}) == {field: message}


@pytest.mark.parametrize("raw", [None, 3, "size", ["size"]])
def test_what_is_no_mapping_is_refused(raw: object) -> None:
    assert faults(Box, raw) == {"": f"expected a mapping, got {'null' if raw is None else repr(raw)}"}


def test_a_missing_value_is_named() -> None:
    assert faults(Box, {}) == {"size": "missing; a value is required"}


def test_all_faults_are_told_at_once_with_their_paths() -> None:
    raw = {"weight": -1, "lid": {"width": "wide", "open": "no", "hinge": 1}, "sides": [1, "two", 3.5], "coulor": 1}
    assert set(faults(Box, raw)) == {
        "size",
        "weight",
        "lid.width",
        "lid.open",
        "lid.hinge",
        "sides[1]",
        "sides[2]",
        "coulor",
    }


def test_a_list_is_not_called_too_short_because_its_items_are_faulty() -> None:
    assert set(faults(Box, {"size": 3, "sides": ["one", "two"]})) == {"sides[0]", "sides[1]"}


def test_a_value_of_several_types_is_named_without_the_names_of_the_types() -> None:
    with pytest.raises(SpecError) as caught:
        Box.parse({"size": 3, "cover": [1, "2"]}, "box.yaml")
    assert [str(fault) for fault in caught.value.faults] == ["cover[1]: expected an integer, got '2'"]
    message = "expected 'none' or 'all', or a list, got {'none': 1}"
    assert faults(Box, {"size": 3, "cover": {"none": 1}}) == {"cover": message}


def test_a_long_value_is_cut_in_the_message() -> None:
    message = faults(Box, {"size": 3, "shape": "c" * 1000})["shape"]
    assert len(message) < 120
    assert message.endswith("ccc...")


def test_the_message_tells_where_and_how_many() -> None:
    with pytest.raises(SpecError, match=r"box\.yaml has 1 fault:\n  size: missing"):
        Box.parse({}, "box.yaml")
    with pytest.raises(SpecError, match=r"box\.yaml has 2 faults:\n"):
        Box.parse({"label": 1}, "box.yaml")


def test_strings_become_paths_and_integers_numbers() -> None:
    box = Box.parse({"size": 3, "paper": "a/b.png", "weight": 2, "sides": [4, 5], "cover": [1]}, "box.yaml")
    assert box.paper == Path("a/b.png")
    assert type(box.weight) is float
    assert box.sides == (4, 5)
    assert box.cover == (1,)


def test_what_was_parsed_is_frozen() -> None:
    box = Box(size=3)
    with pytest.raises(ValidationError, match="frozen"):
        box.size = 4  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        box.lid.width = 4  # type: ignore[misc]
    assert hash(box) == hash(Box(size=3))


def test_a_component_is_chosen_by_its_kind(room: Room) -> None:
    shelf = box_of(room()).parse({"toy": {"kind": "ball", "radius": 2}}, "shelf")
    assert shelf.plain()["toy"] == {"kind": "ball", "radius": 2.0, "colour": "red"}


def test_the_kind_of_a_component_never_stands_in_a_path(room: Room) -> None:
    raw = {
        "toy": {"kind": "bear", "holds": {"kind": "ball", "radius": -1, "size": 2}},
        "others": [{"kind": "ball", "radius": 1}, {"kind": "ball", "colour": 3}],
    }
    assert faults(box_of(room()), raw) == {
        "toy.holds.radius": "expected a value > 0.0, got -1",
        "toy.holds.size": "unknown key (its value is 2); expected one of colour, kind, radius",
        "others[1].radius": "missing; a value is required",
        "others[1].colour": "expected a string, got 3",
    }


def test_a_kind_with_a_typo_is_answered_with_the_nearest(room: Room) -> None:
    raw = {"toy": {"kind": "bal"}, "others": [{"kind": "ball", "radius": 1}, {"kind": "xylophone"}]}
    assert faults(box_of(room()), raw) == {
        "toy": "there is no kind 'bal'; did you mean 'ball'?",
        "others[1]": "there is no kind 'xylophone'; expected one of ball, bear",
    }


@pytest.mark.parametrize("kind", [3, None, ["ball"], {"ball": 1}])
def test_a_kind_that_is_no_name_is_refused(room: Room, kind: object) -> None:
    assert faults(box_of(room()), {"toy": {"kind": kind}})["toy"].startswith("there is no kind")


def test_a_component_without_kind_is_told_to_have_one(room: Room) -> None:
    message = "expected a mapping with a 'kind', such as {kind: ...}, got {'radius': 1}"
    assert faults(box_of(room()), {"toy": {"radius": 1}}) == {"toy": message}


@pytest.mark.parametrize("raw", [3, "ball", [], None])
def test_a_component_that_is_no_mapping_is_refused(room: Room, raw: object) -> None:
    shown = "null" if raw is None else repr(raw)
    assert faults(box_of(room()), {"toy": raw}) == {"toy": f"expected a mapping, got {shown}"}


def test_a_key_that_is_called_like_a_kind_does_not_lead_astray(room: Room) -> None:
    raw = {"toy": {"kind": "bear", "bear": {"holds": 1}, "holds": {"kind": "ball", "radius": -1}}}
    assert faults(box_of(room()), raw) == {
        "toy.holds.radius": "expected a value > 0.0, got -1",
        "toy.bear": "unknown key (its value is {'holds': 1}); expected one of holds, kind",
    }


@pytest.mark.parametrize(("key", "shown"), [(1, "1"), (None, "null"), (0.5, "0.5")])
def test_a_key_that_is_no_text_is_named_by_its_mapping(key: object, shown: str) -> None:
    assert faults(Box, {"size": 3, "lid": {key: 1}}) == {"lid": f"expected keys that are text, got {shown}"}
    assert faults(Box, {"size": 3, key: 1}) == {"": f"expected keys that are text, got {shown}"}


def test_a_misspelt_kind_is_answered_with_the_word(room: Room) -> None:
    message = (
        "expected a mapping with a 'kind', such as {kind: ...}, got {'knid': 'ball'}; did you mean 'kind' by 'knid'?"
    )
    assert faults(box_of(room()), {"toy": {"knid": "ball"}}) == {"toy": message}


def test_thousands_of_faults_are_found_in_no_time() -> None:
    started = time.process_time()
    assert len(faults(Box, {"size": 3, "cover": ["x"] * 5000})) == 5000
    assert time.process_time() - started < 2


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 300, "y/" * 3000])
def test_what_no_file_can_be_called_is_no_path(path: str) -> None:
    assert faults(Box, {"size": 3, "paper": path})["paper"].startswith("expected a path")
    with pytest.raises(ValidationError, match="expected a path"):
        Box(size=3, paper=Path(path or "z" * 300))
