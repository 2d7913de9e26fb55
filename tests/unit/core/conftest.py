import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from falsewitness.core import Catalogue
from falsewitness.core import catalogue as catalogue_module

PACKAGE = "toy_room"
FILES = {
    "__init__.py": "",
    "_base.py": """
from falsewitness.core import Component

class Toy(Component):
    pass
""",
    "ball.py": """
from typing import Annotated, Literal
from pydantic import Field
from toy_room._base import Toy

class Round(Toy):
    pass

class Ball(Round):
    kind: Literal["ball"] = "ball"
    radius: Annotated[float, Field(gt=0)]
    colour: str = "red"
""",
    "bear.py": """
from typing import Literal
from toy_room._base import Toy
from toy_room.ball import Ball

class Bear(Toy):
    kind: Literal["bear"] = "bear"
    holds: Ball | None = None
""",
}

Room = Callable[..., Catalogue[Any]]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    """Makes a catalogue over a package of two toys and further files, by name, beside them."""

    def make(**files: str) -> Catalogue[Any]:
        package = tmp_path / PACKAGE
        package.mkdir()
        for name, text in (FILES | {f"{name}.py": text for name, text in files.items()}).items():
            (package / name).write_text(text)
        base = importlib.import_module(f"{PACKAGE}._base").Toy
        return Catalogue("toys", base, PACKAGE)

    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for name in [name for name in sys.modules if name.startswith("toy_")]:
        del sys.modules[name]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets entry points appear as if packages that declare them were installed."""

    def install(**points: str) -> None:
        group = catalogue_module.ENTRY_POINT_GROUP
        found = [EntryPoint(name.replace("__", "."), value, group) for name, value in points.items()]
        monkeypatch.setattr(catalogue_module, "entry_points", lambda group: [p for p in found if p.group == group])

    return install
