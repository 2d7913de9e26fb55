"""YAML in, YAML out, exact: for every component that there is, with values drawn from its own fields."""

from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from falsewitness.attacks import ATTACKS
from falsewitness.core import Catalogue, Component, Strict
from falsewitness.data import DATA
from falsewitness.experiment import Spec
from falsewitness.explainers import EXPLAINERS
from falsewitness.metrics import METRICS
from falsewitness.models import MODELS
from falsewitness.training import Training
from falsewitness.triggers import TRIGGERS

Values = st.SearchStrategy[Any]

ROOMS: tuple[Catalogue[Any], ...] = (DATA, MODELS, TRIGGERS, ATTACKS, EXPLAINERS, METRICS)
COMPONENTS: list[type[Component]] = [room.get(kind) for room in ROOMS for kind in room.kinds()]

WORDS = {
    ("Timm", "name"): ["resnet18", "resnet50.a1_in1k"],
    ("Hub", "name"): ["owner/name", "a-b/c_d.e"],
    ("Spec", "name"): ["digits/badnets", "a.b-c_d"],
}
"""For the few fields that do not take any string."""


def drawn(cls: type[Strict]) -> Values:
    fields = {
        name: st.sampled_from(WORDS[cls.__name__, name])
        if (cls.__name__, name) in WORDS
        else values_of(field.annotation, tuple(field.metadata))
        for name, field in cls.model_fields.items()
    }
    return st.fixed_dictionaries(fields).map(lambda values: built(cls, values))


def built(cls: type[Strict], values: dict[str, Any]) -> Strict:
    try:
        return cls(**values)
    except ValidationError:  # fields that do not fit one another
        assume(False)
        raise


def values_of(annotation: Any, metadata: tuple[Any, ...]) -> Values:  # noqa: ANN401
    origin, inner = get_origin(annotation), get_args(annotation)
    if room := next((item for item in metadata if isinstance(item, Catalogue)), None):
        return st.one_of([drawn(room.get(kind)) for kind in room.kinds()])
    if origin is Annotated:
        return values_of(inner[0], (*metadata, *_flat(inner[1:])))
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, UnionType):
        return st.one_of([values_of(choice, metadata) for choice in inner])
    if origin is tuple and inner[-1] is Ellipsis:
        longest = min(_limit(metadata, MaxLen, "max_length", 3), 3)
        shortest = _limit(metadata, MinLen, "min_length", 0)
        return st.lists(values_of(inner[0], ()), min_size=shortest, max_size=longest).map(tuple)
    if origin is tuple:
        return st.tuples(*(values_of(item, ()) for item in inner))
    if annotation is NoneType:
        return st.none()
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return drawn(annotation)
    return PLAIN[annotation](metadata)


def _flat(metadata: tuple[Any, ...]) -> list[Any]:
    return [part for item in metadata for part in (item.metadata if isinstance(item, FieldInfo) else [item])]


def _limit(metadata: tuple[Any, ...], kind: type, name: str, otherwise: Any) -> Any:  # noqa: ANN401
    return next((getattr(item, name) for item in metadata if isinstance(item, kind)), otherwise)


def _integers(metadata: tuple[Any, ...]) -> Values:
    return st.integers(_limit(metadata, Ge, "ge", None), _limit(metadata, Le, "le", None))


def _floats(metadata: tuple[Any, ...]) -> Values:
    low, high = _limit(metadata, Gt, "gt", None), _limit(metadata, Lt, "lt", None)
    return st.floats(
        low if low is not None else _limit(metadata, Ge, "ge", None),
        high if high is not None else _limit(metadata, Le, "le", None),
        exclude_min=low is not None,
        exclude_max=high is not None,
        allow_nan=False,
        allow_infinity=False,
    )


PLAIN: dict[object, Callable[[tuple[Any, ...]], Values]] = {
    int: _integers,
    float: _floats,
    bool: lambda _: st.booleans(),
    str: lambda _: st.text(),
    Path: lambda _: st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(Path),
}

UNHURRIED = settings(max_examples=25, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@pytest.mark.parametrize("cls", [*COMPONENTS, Training], ids=lambda cls: cls.__name__)
@UNHURRIED
@given(data=st.data())
def test_a_component_comes_back_from_yaml_as_it_was(cls: type[Strict], data: st.DataObject) -> None:
    component = data.draw(drawn(cls))
    text = yaml.safe_dump(component.plain(), sort_keys=False)
    assert cls.parse(yaml.safe_load(text), "spec") == component


@UNHURRIED
@given(data=st.data())
def test_a_spec_comes_back_from_its_yaml_as_it_was(data: st.DataObject) -> None:
    spec = data.draw(drawn(Spec))
    text = spec.to_yaml()
    again = Spec.parse(yaml.safe_load(text), "spec")
    assert again == spec
    assert again.to_yaml() == text
