"""The base of everything that a spec can name: a frozen, checked configuration and nothing else."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, Union, final, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from falsewitness.core.errors import Fault, SpecError
from falsewitness.core.faults import faults_of
from falsewitness.core.info import DataInfo

_LONGEST_PATH, _LONGEST_NAME = 4096, 255


def usable_path(value: object) -> object:
    """Return a value as it is, unless it is text that no file can be called.

    Raises:
        ValueError: If it is empty, far too long, or holds a character that no path may.
    """
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if not text or "\0" in text:
        raise ValueError(f"expected a path, got {text!r}")
    lengths = [len(os.fsencode(part)) for part in (text, *text.split("/"))]
    if lengths[0] > _LONGEST_PATH or max(lengths[1:]) > _LONGEST_NAME:
        raise ValueError(
            f"expected a path of at most {_LONGEST_PATH} bytes with names of at most {_LONGEST_NAME}, "
            f"got one of {lengths[0]} with a name of {max(lengths[1:])}"
        )
    return value


PathLike = Annotated[Path, Field(strict=False), BeforeValidator(usable_path)]
"""A path field: strings are welcome."""


class Strict(BaseModel):
    """A frozen model that takes no unknown key and no value of a wrong type."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        defer_build=True,
        validate_default=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="strings",
    )

    @classmethod
    def parse(cls, raw: object, where: str) -> Self:
        """Build from plain data such as YAML gives.

        Args:
            raw: Mappings, lists, strings, numbers.
            where: What is being read, for the error message.

        Raises:
            SpecError: With every fault and its path.
        """
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise SpecError(faults_of(error, raw, cls), where) from None

    def plain(self) -> dict[str, Any]:
        """Return plain data that :meth:`parse` turns into an equal object."""
        return self.model_dump(mode="json")

    @final
    def check(self, info: DataInfo) -> list[Fault]:
        """Collect what does not fit the data, here and in every nested part.

        Args:
            info: Shape and classes of the data.

        Returns:
            All faults, their paths relative to this object; empty where everything fits.
        """
        faults = list(self._check(info))
        for name in type(self).model_fields:
            for suffix, part in _parts(getattr(self, name)):
                faults += [
                    Fault(".".join(filter(None, (name + suffix, fault.path))), fault.message)
                    for fault in part.check(info)
                ]
        return faults

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        """Yield this object's own faults; overridden by what depends on the data: its own, then ``super()``'s."""
        yield from ()

    @final
    def files(self) -> tuple[Path, ...]:
        """Return every file named here and in nested parts: their content decides a run as much as the spec."""
        return tuple(path for name in type(self).model_fields for path in _paths(getattr(self, name)))


class Component(Strict):
    """Something that a spec names by its ``kind``: an attack, a trigger, an explainer, ...

    A component is its own configuration and only that: it holds hyperparameters, no tensors and no state. What works is
    made from it by ``bind``.
    """

    kind: str
    """Which component this is."""

    source: ClassVar[str] = ""
    """The paper, equation or section that defines it."""

    @classmethod
    def kind_name(cls) -> str:
        """Return the literal that names this component in a spec; empty for an abstract base."""
        annotation = cls.model_fields["kind"].annotation
        return str(get_args(annotation)[0]) if get_origin(annotation) is Literal else ""


def _parts(value: object) -> Iterator[tuple[str, Strict]]:
    if isinstance(value, Strict):
        yield "", value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for suffix, part in _parts(item):
                yield f"[{index}]{suffix}", part


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Strict):
        yield from value.files()
    elif isinstance(value, tuple):
        for item in value:
            yield from _paths(item)


def strings_replaced(value: Any, replacements: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Return plain data in which some strings have others in their place: files other names, say, or hashes.

    Args:
        value: What :meth:`Strict.plain` gives, or a part of it; keys stay as they are.
        replacements: For whole strings.
    """
    if isinstance(value, dict):
        return {key: strings_replaced(item, replacements) for key, item in value.items()}
    if isinstance(value, list):
        return [strings_replaced(item, replacements) for item in value]
    return replacements.get(value, value) if isinstance(value, str) else value


def describe_fields(cls: type[Strict]) -> list[dict[str, str]]:
    """Describe the fields of a component for people.

    Returns:
        One mapping a field: ``name``, ``type``, ``default``, ``range`` and ``meaning``.
    """
    return [_describe(name, field) for name, field in cls.model_fields.items() if name != "kind"]


def _describe(name: str, field: FieldInfo) -> dict[str, str]:
    default = field.get_default(call_default_factory=True)
    return {
        "name": name,
        "type": _type_name(field.annotation),
        "default": "required" if field.is_required() else _as_in_yaml(default),
        "range": ", ".join(_bounds(field.metadata)),
        "meaning": " ".join((field.description or "").split()),
    }


def _as_in_yaml(default: object) -> str:
    if isinstance(default, tuple):
        return f"[{', '.join(_as_in_yaml(item) for item in default)}]"
    if default is None:
        return "null"
    return str(default).lower() if isinstance(default, bool) else str(default)


def _type_name(annotation: object) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = ", ".join(_bounds(part for extra in inner[1:] for part in getattr(extra, "metadata", [extra])))
        return f"{_type_name(inner[0])} ({bounds})" if bounds else _type_name(inner[0])
    if origin is Literal:
        return " | ".join(str(choice) for choice in inner)
    if origin in (Union, UnionType):
        return " | ".join(_type_name(choice) for choice in inner)
    if origin is tuple and inner[-1] is Ellipsis:
        return f"list of {_type_name(inner[0])}"
    if origin is tuple:
        return f"list of {len(inner)} {_type_name(inner[0])}"
    return _PLAIN_NAMES.get(annotation) or str(getattr(annotation, "__name__", annotation))


_PLAIN_NAMES: dict[object, str] = {Path: "path", NoneType: "null"}

_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def _bounds(constraints: Iterable[object]) -> Iterator[str]:
    for constraint in constraints:
        for attribute, sign in _SIGNS.items():
            if hasattr(constraint, attribute):
                yield f"{sign} {getattr(constraint, attribute)}"
