"""Checks the sound parts of something faulty, so that a user hears of all faults at once."""

import re
from collections.abc import Iterator
from functools import reduce
from typing import Any

from pydantic import BaseModel

from falsewitness.core.component import Strict
from falsewitness.core.errors import Fault, SpecError
from falsewitness.core.info import DataInfo
from falsewitness.core.places import class_of, classes_taken

_STEP = re.compile(r"[.\[]")


def faults_of_sound_parts(cls: type[Strict], raw: object, info: DataInfo) -> Iterator[Fault]:
    """Yield what does not fit the data in those parts of plain data that can be built by themselves.

    Args:
        cls: What was to be built, and could not.
        raw: The plain data.
        info: Shape and classes of the data.
    """
    if not isinstance(raw, dict):
        return
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
        yield from _faults_of_faulty_part(cls, raw, [fault.path for fault in error.faults], info)
    else:
        yield from part.check(info)


def _faults_of_faulty_part(cls: type[Strict], raw: object, faulty: list[str], info: DataInfo) -> Iterator[Fault]:
    """Yield what does not fit in a part with faulty fields: of the others, and within these."""
    if not isinstance(raw, dict):
        return
    rest = reduce(_without, faulty, raw)
    try:
        sound = cls.parse(rest, "part")
    except SpecError:  # a faulty field has no default, or the others do not go together
        yield from faults_of_sound_parts(cls, raw, info)
        return
    # A fault that rests on a default in the place of a faulty field is none of the user's.
    misspelt = any(_names(path)[0] not in cls.model_fields for path in faulty)
    unset = [*faulty, *(cls.model_fields.keys() - raw.keys() if misspelt else ())]
    yield from _faults_while_set(reduce(_unset, unset, sound), {name for path in unset for name in _names(path)}, info)
    yield from faults_of_sound_parts(cls, {**sound.plain(), **raw}, info)


def _faults_while_set(part: Strict, unset: set[str], info: DataInfo) -> Iterator[Fault]:
    """Yield a part's own faults, those that each of its classes finds before it reads a field that is not set."""
    found: dict[Fault, None] = {}  # what a class finds, its subclass finds, too, unless it stops before
    for check in (vars(cls)["_check"] for cls in type(part).__mro__ if "_check" in vars(cls)):
        try:
            for fault in check(part, info):
                found[fault] = None
        except AttributeError as error:
            if error.name not in unset:
                raise
    yield from found


def _names(path: str) -> list[str]:
    return _STEP.split(path)


def _unset(part: Strict, path: str) -> Strict:
    """Return a copy that lacks the field at a path; the whole list where it stands in one."""
    first, _, rest = path.partition(".")
    name = _names(first)[0]
    nested = getattr(part, name, None)
    if rest and name == first and isinstance(nested, Strict):
        return part.model_copy(update={name: _unset(nested, rest)})
    copy = part.model_copy()
    copy.__dict__.pop(name, None)
    return copy


def _without(raw: dict[str, Any], path: str) -> dict[str, Any]:
    """Leave out what stands at a path; the whole list where it stands in one."""
    first, _, rest = path.partition(".")
    name = _names(first)[0]
    if rest and name == first and isinstance(raw.get(name), dict):
        return {**raw, name: _without(raw[name], rest)}
    return {key: value for key, value in raw.items() if key != name}
