"""Checks the sound parts of something faulty, so that a user hears of all faults at once."""

from collections.abc import Iterator

from pydantic import BaseModel

from falsewitness.core.component import Strict
from falsewitness.core.errors import Fault, SpecError
from falsewitness.core.info import DataInfo
from falsewitness.core.places import class_of, classes_taken


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
    except SpecError:
        yield from faults_of_sound_parts(cls, raw, info)
    else:
        yield from part.check(info)
