"""Checks the sound parts of something faulty, so that a user hears of all faults at once."""

import re
from collections.abc import Callable, Iterable, Iterator, Set
from functools import partial
from typing import Any

from pydantic import BaseModel, Field, create_model

from falsewitness.core.component import Strict
from falsewitness.core.errors import Fault, SpecError
from falsewitness.core.info import DataInfo
from falsewitness.core.places import class_of, classes_taken

_STEP = re.compile(r"[.\[]")


def faults_of_the_rest(cls: type[Strict], raw: object, faults: Iterable[Fault], info: DataInfo) -> Iterator[Fault]:
    """Yield what does not fit in something faulty: of its other fields together, and within all of them.

    Args:
        cls: What was to be built, and could not.
        raw: The plain data.
        faults: What is known to be wrong with it.
        info: Shape and classes of the data.
    """
    if not isinstance(raw, dict):
        return
    faulty = {_first_name(fault.path) for fault in faults}
    known = {name: value for name, value in raw.items() if name not in faulty}
    # Nobody knows which of the fields that are not there a misspelt key was meant for.
    fields = cls.model_fields.keys()
    unset = fields & faulty if faulty <= fields else fields - known.keys()
    part = _parsed_without(cls, known, unset)
    if part is not None:
        yield from _faults_while_set(part, unset, info)
        raw = {name: value for name, value in part.plain().items() if name not in unset} | raw
    yield from _faults_of_parts(cls, raw, info)


def faults_of_rules(*rules: Callable[[], Iterator[Fault]]) -> Iterator[Fault]:
    """Yield what several rules find; one that comes to a field that is not set ends, and the others go on."""
    for rule in rules:
        try:
            yield from rule()
        except AttributeError as error:
            if not tells_of_unset_field(error):
                raise


def tells_of_unset_field(error: AttributeError) -> bool:
    """Tell whether a rule came to a field that is not set, as the faulty ones of a part are."""
    return isinstance(error.obj, Strict) and error.name in type(error.obj).model_fields


def _faults_of_parts(cls: type[Strict], raw: dict[str, Any], info: DataInfo) -> Iterator[Fault]:
    """Yield what does not fit the data in each part of plain data by itself."""
    for name, field in cls.model_fields.items():
        choices = list(classes_taken(field.annotation, field.metadata))
        value = raw.get(name)
        parts = [(f"[{place}]", item) for place, item in enumerate(value)] if isinstance(value, list) else [("", value)]
        for suffix, part in parts:
            for fault in _faults_of_part(class_of(choices, part), part, info):
                yield Fault(".".join(filter(None, (name + suffix, fault.path))), fault.message)


def _faults_of_part(cls: type[BaseModel] | None, raw: object, info: DataInfo) -> Iterator[Fault]:
    if cls is None or not issubclass(cls, Strict):
        return
    try:
        part = cls.parse(raw, "part")
    except SpecError as error:
        yield from faults_of_the_rest(cls, raw, error.faults, info)
    else:
        yield from part.check(info)


def _parsed_without(cls: type[Strict], known: dict[str, Any], unset: Set[str]) -> Strict | None:
    """Build a part that lacks fields, which may be required; None where the others do not go together."""
    nothing = Field(default=None, validate_default=False)
    required = {name: (Any, nothing) for name in unset if cls.model_fields[name].is_required()}
    lenient: type[Strict] = create_model(cls.__name__, __base__=cls, **required)  # type: ignore[call-overload]
    try:
        return lenient.parse(known, "part")
    except (SpecError, TypeError):  # a validator of the whole part may read what is None here
        return None


def _faults_while_set(part: Strict, unset: Set[str], info: DataInfo) -> Iterator[Fault]:
    """Yield a part's own faults, those that each of its classes finds before it reads a field that is not set."""
    part = part.model_copy()
    for name in unset:
        # A fault that rests on a default in the place of a faulty field is none of the user's.
        part.__dict__.pop(name)
    checks = [vars(cls)["_check"] for cls in type(part).__mro__ if "_check" in vars(cls)]
    # What a class finds, its subclass finds, too, unless it stops before.
    yield from dict.fromkeys(faults_of_rules(*(partial(check, part, info) for check in checks)))


def _first_name(path: str) -> str:
    return _STEP.split(path)[0]
