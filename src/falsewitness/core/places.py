"""Finds the place in a spec that a fault of pydantic's is about."""

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple, Protocol, get_args, get_origin, runtime_checkable

from pydantic import BaseModel

_LONGEST_KEY = 60


@runtime_checkable
class Choices(Protocol):
    """Marks a field that takes one of several classes, told apart by their ``kind``: a catalogue."""

    def kinds(self) -> tuple[str, ...]:
        """Return what there is to choose from."""
        ...

    def get(self, kind: str) -> type[BaseModel]:
        """Return the class of a kind."""
        ...


class Place(NamedTuple):
    """Where something stands.

    Attributes:
        path: The keys and places in lists that lead to it, as ``attack.trigger.colour[0]``.
        keys: The keys that may stand there, beside it and in its stead; empty where that is not known.
    """

    path: str
    keys: tuple[str, ...]


def find_place(
    location: Sequence[str | int], raw: object, cls: type[BaseModel] | None = None, *, is_missing: bool = False
) -> Place:
    """Translate a location, which also holds kinds of components and types of unions, into a place.

    Args:
        location: As pydantic gives it.
        raw: The data that something was to be built from.
        cls: What was to be built; None where it is no model, and kinds and keys are not known.
        is_missing: Whether the location ends with a key that is not there.
    """
    path = ""
    keys: tuple[str, ...] = ()
    options: list[type[BaseModel] | Choices] = [] if cls is None else [cls]
    for depth, part in enumerate(location, start=1):
        if (chosen := _chosen(options, part)) is not None:
            options = [chosen]
            continue
        classes = [option for option in options if isinstance(option, type)]
        fields = {name: field for option in classes for name, field in option.model_fields.items()}
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in fields:
            path += f".{part}"
            options = list(classes_taken(fields[part].annotation, fields[part].metadata))
        elif isinstance(raw, dict) and (part in raw or (is_missing and depth == len(location))):
            path += f".{part if len(part) <= _LONGEST_KEY else part[:_LONGEST_KEY] + '...'}"
            options = []
        else:
            continue  # the name of a type in a union
        keys, raw = tuple(fields), _step(raw, part)
    return Place(path.removeprefix("."), keys)


def _chosen(options: Sequence[object], part: str | int) -> type[BaseModel] | None:
    kinds = (option for option in options if isinstance(option, Choices) and not isinstance(option, type))
    return next((option.get(str(part)) for option in kinds if part in option.kinds()), None)


def class_of(options: Sequence[type[BaseModel] | Choices], raw: object) -> type[BaseModel] | None:
    """Return which of the classes that a field takes some plain data are of; None where they are of none.

    Args:
        options: What :func:`classes_taken` gives.
        raw: The data.
    """
    if not isinstance(raw, dict):
        return None
    chosen = _chosen(options, str(raw.get("kind", "")))
    return chosen or next((option for option in options if isinstance(option, type)), None)


def classes_taken(annotation: object, metadata: Sequence[object] = ()) -> Iterator[type[BaseModel] | Choices]:
    """Yield what a mapping in a field, or in its list, may become.

    Args:
        annotation: The field's type.
        metadata: What stands beside the type.
    """
    if choices := [mark for mark in metadata if isinstance(mark, Choices)]:
        yield from choices
    elif get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        yield from classes_taken(inner, marks)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from classes_taken(inner)


def _step(raw: object, part: str | int) -> object:
    try:
        return raw[part]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return None
