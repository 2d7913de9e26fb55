from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from falsewitness.attacks import ATTACKS
from falsewitness.core import Component, PathLike, Strict, describe_fields
from falsewitness.data import DATA
from falsewitness.explainers import EXPLAINERS
from falsewitness.metrics import METRICS
from falsewitness.models import MODELS
from falsewitness.triggers import TRIGGERS

COMPONENTS = [r.get(k) for r in (DATA, MODELS, TRIGGERS, ATTACKS, EXPLAINERS, METRICS) for k in r.kinds()]
Share = Annotated[float, Field(ge=0, lt=1)]


class _Inner(Strict):
    pass


class _Thing(Component):
    kind: Literal["thing"] = "thing"

    size: Annotated[int, Field(gt=0, le=9)]
    """How large it is,
    in metres."""

    mode: Literal["fast", "slow"] = "fast"
    limit: Annotated[int, Field(ge=2)] | None = None
    paper: PathLike | None = None
    weights: Literal["hub"] | Path | None = None
    shares: Annotated[tuple[Share, ...], Field(strict=False)] = (0.5,)
    place: Annotated[tuple[int, int], Field(strict=False)] | None = None
    inner: _Inner = _Inner()
    word: str = "yes"
    quick: bool = False


def test_fields_are_described_in_words() -> None:
    described = {field["name"]: (field["type"], field["default"], field["range"]) for field in describe_fields(_Thing)}
    assert described == {
        "size": ("int", "required", "> 0, <= 9"),
        "mode": ("fast | slow", "fast", ""),
        "limit": ("int (>= 2) | null", "null", ""),
        "paper": ("path | null", "null", ""),
        "weights": ("hub | path | null", "null", ""),
        "shares": ("list of float (>= 0, < 1)", "[0.5]", ""),
        "place": ("list of 2 int | null", "null", ""),
        "inner": ("_Inner", "", ""),
        "word": ("str", "yes", ""),
        "quick": ("bool", "false", ""),
    }


def test_the_meaning_is_the_docstring_on_one_line() -> None:
    assert describe_fields(_Thing)[0]["meaning"] == "How large it is, in metres."


@pytest.mark.parametrize("cls", COMPONENTS, ids=lambda cls: cls.__name__)
def test_every_field_of_a_component_says_what_it_means_in_plain_words(cls: type[Component]) -> None:
    for field in describe_fields(cls):
        assert field["meaning"].endswith((".", ".)")), field
        assert not any(jargon in field["type"] for jargon in ("[", "<class", "typing", "Annotated", "None")), field
