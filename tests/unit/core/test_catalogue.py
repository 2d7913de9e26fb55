from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falsewitness.core import Catalogue, InputError
from falsewitness.core.faults import nearest

Room = Callable[..., Catalogue[Any]]
Installed = Callable[..., None]

KITE = """
from typing import Literal
from toy_room._base import Toy

class Kite(Toy):
    kind: Literal["kite"] = "kite"
"""


def one_line(caught: pytest.ExceptionInfo[InputError]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_every_file_of_the_room_is_found_and_sorted(room: Room) -> None:
    assert room(kite=KITE).kinds() == ("ball", "bear", "kite")


def test_neither_private_files_nor_abstract_nor_imported_classes_are_components(room: Room) -> None:
    catalogue = room(_hidden=KITE, again="from toy_room.ball import Ball, Round")
    assert catalogue.kinds() == ("ball", "bear")


def test_nothing_is_imported_before_the_first_question(room: Room) -> None:
    catalogue = room(broken="raise RuntimeError('imported')")
    with pytest.raises(RuntimeError, match="imported"):
        catalogue.kinds()


def test_a_class_is_had_by_its_kind(room: Room) -> None:
    assert room().get("ball").kind_name() == "ball"


def test_a_typo_is_answered_with_the_nearest_kinds(room: Room) -> None:
    with pytest.raises(InputError) as caught:
        room().get("baer")
    assert one_line(caught) == "there is no 'baer' among the toys; did you mean 'bear'?"


def test_what_is_near_nothing_is_answered_with_all_kinds(room: Room) -> None:
    with pytest.raises(InputError) as caught:
        room().get("xylophone")
    assert one_line(caught) == "there is no 'xylophone' among the toys; expected one of ball, bear"


def test_several_kinds_that_are_near_are_all_named() -> None:
    assert nearest("ba", ["bat", "bar", "zzz"]) == "did you mean 'bat' or 'bar'?"
    assert nearest("ba", []) == "nothing is known by any name here"


def test_a_list_of_choices_that_nobody_would_read_is_cut_and_says_how_many_more_there_are() -> None:
    choices = [f"layer{number:03}" for number in range(200)]
    hint = nearest("xylophone", choices)
    assert hint.startswith("expected one of layer000, layer001, ")
    assert hint.endswith(", layer049 and 150 more")
    assert nearest("xylophone", choices[:50]).endswith(", layer048, layer049")
    assert nearest("xylophone", ["y" * 1000, "z"]) == f"expected one of {'y' * 1000} and 1 more"


def test_two_files_of_one_kind_are_refused_and_both_named(room: Room) -> None:
    catalogue = room(kite=KITE, dragon=KITE)
    with pytest.raises(InputError, match="two toys are called 'kite'") as caught:
        catalogue.kinds()
    assert "toy_room.kite" in one_line(caught)
    assert "toy_room.dragon" in one_line(caught)


def test_an_installed_component_appears_among_those_of_the_room(
    room: Room, installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "toy_plugin.py").write_text(KITE)
    installed(toys__kite="toy_plugin:Kite", tools__saw="toy_plugin:Kite")
    catalogue = room()
    assert catalogue.kinds() == ("ball", "bear", "kite")
    assert catalogue.get("kite").__module__ == "toy_plugin"


def test_an_installed_component_of_a_kind_that_exists_is_refused_and_both_named(
    room: Room, installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "toy_plugin.py").write_text(KITE.replace("kite", "ball"))
    installed(toys__ball="toy_plugin:Kite")
    with pytest.raises(InputError, match="two toys are called 'ball'") as caught:
        room().kinds()
    assert "toy_room.ball" in one_line(caught)
    assert "entry point toy_plugin:Kite" in one_line(caught)


@pytest.mark.parametrize(
    ("content", "value", "reason"),
    [
        (None, "toy_plugin:Kite", "No module named 'toy_plugin'"),
        (KITE, "toy_plugin:Dragon", "no attribute 'Dragon'"),
        ("class Kite(", "toy_plugin:Kite", "'(' was never closed"),
        ("raise RuntimeError('no license\\nbuy one')", "toy_plugin:Kite", "no license"),
        ("raise ValueError", "toy_plugin:Kite", "ValueError"),
    ],
)
def test_an_entry_point_that_does_not_load_is_named_in_one_line(
    room: Room, installed: Installed, tmp_path: Path, content: str | None, value: str, reason: str
) -> None:
    if content is not None:
        (tmp_path / "toy_plugin.py").write_text(content)
    installed(toys__kite=value)
    with pytest.raises(InputError, match="does not load") as caught:
        room().kinds()
    assert reason in one_line(caught)
    assert f"toys.kite = {value}" in one_line(caught)


@pytest.mark.parametrize(
    "content",
    [
        "class Kite: pass",
        "Kite = 3",
        "from toy_room._base import Toy\nclass Kite(Toy): pass",
        "from falsewitness.core import Component\nfrom typing import Literal\n"
        "class Kite(Component):\n    kind: Literal['kite'] = 'kite'",
    ],
    ids=["no component", "no class", "no kind", "component of another room"],
)
def test_what_is_no_component_of_the_room_is_refused(
    room: Room, installed: Installed, tmp_path: Path, content: str
) -> None:
    (tmp_path / "toy_plugin.py").write_text(content)
    installed(toys__kite="toy_plugin:Kite")
    with pytest.raises(InputError, match=r"expected a subclass of toy_room\._base\.Toy") as caught:
        room().kinds()
    assert "entry point toy_plugin:Kite" in one_line(caught)


@pytest.mark.parametrize("kind", ["../kite", "a kite", "ki/te"])
def test_a_kind_that_names_no_folder_is_refused(room: Room, installed: Installed, tmp_path: Path, kind: str) -> None:
    (tmp_path / "toy_plugin.py").write_text(KITE.replace('"kite"', repr(kind)))
    installed(toys__kite="toy_plugin:Kite")
    with pytest.raises(InputError, match="expected a kind of letters, digits and _, no digit first, got") as caught:
        room().kinds()
    assert repr(kind) in one_line(caught)


def test_a_class_that_leaves_its_method_out_is_refused(room: Room, installed: Installed, tmp_path: Path) -> None:
    base = "from abc import abstractmethod\nfrom falsewitness.core import Component\n\nclass Toy(Component):\n"
    (tmp_path / "toy_plugin.py").write_text(KITE)
    installed(toys__kite="toy_plugin:Kite")
    catalogue = room(_base=f"{base}    @abstractmethod\n    def play(self) -> None: ...", ball="", bear="")
    with pytest.raises(InputError, match="expected a class with a method play") as caught:
        catalogue.kinds()
    assert "entry point toy_plugin:Kite" in one_line(caught)
