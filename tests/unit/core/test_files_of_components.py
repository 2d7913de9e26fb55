from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from falsewitness.core import Component, PathLike, Strict
from falsewitness.core.component import strings_replaced


class _Picture(Strict):
    path: PathLike
    name: str = "not/a/path.png"


class _Trigger(Component):
    kind: Literal["trigger"] = "trigger"
    picture: _Picture | None = None
    overlay: PathLike | None = None


class _Attack(Component):
    kind: Literal["attack"] = "attack"
    triggers: Annotated[tuple[_Trigger, ...], Field(strict=False)] = ()
    extra: Annotated[tuple[PathLike, ...], Field(strict=False)] = ()


def test_a_component_without_paths_names_no_files() -> None:
    assert _Trigger().files() == ()
    assert _Attack(triggers=(_Trigger(),)).files() == ()


def test_a_string_that_looks_like_a_path_is_none() -> None:
    assert _Picture(path=Path("a.png")).files() == (Path("a.png"),)


def test_files_of_nested_parts_come_in_the_order_of_the_fields() -> None:
    attack = _Attack.parse(
        {
            "triggers": [{"picture": {"path": "one.png"}, "overlay": "two.png"}, {"overlay": "three.png"}],
            "extra": ["four.png", "five.png"],
        },
        "spec",
    )
    assert [str(path) for path in attack.files()] == [
        "one.png",
        "two.png",
        "three.png",
        "four.png",
        "five.png",
    ]


def test_files_get_other_names_in_plain_data_and_nothing_else_does() -> None:
    attack = _Attack.parse({"triggers": [{"picture": {"path": "one.png"}}, {"overlay": "two.png"}]}, "spec")
    before = attack.plain()
    renamed = strings_replaced(before, {"one.png": "other.png", "path": "no key", "two": "no part of a name"})
    expected = {"triggers": [{"picture": {"path": "other.png"}}, {"overlay": "two.png"}]}
    assert _Attack.parse(renamed, "spec") == _Attack.parse(expected, "spec")
    assert before == attack.plain()
