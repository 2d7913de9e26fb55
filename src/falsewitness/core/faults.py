"""Turns what pydantic says into lines that a user can act on."""

import difflib
import re
from collections.abc import Iterable, Mapping
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from falsewitness.core.errors import Fault
from falsewitness.core.places import Place, find_place

_TYPES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "path_type": "a path",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}
_LENGTHS = {
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
}
_LIKE_A_FLOAT = re.compile(r"(?P<sign>[+-]?)(?P<whole>\d+)\.?(?P<rest>\d*)e(?P<up>[+-]?)(?P<power>\d+)", re.IGNORECASE)
_LONGEST_LIST = 500  # signs
_STEP = re.compile(r"[.\[]")
_TRUE_OR_FALSE = "; YAML takes yes, no, on and off for true and false, put words in quotes"


class _Complaint(NamedTuple):
    """One line of pydantic's."""

    place: Place
    details: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.details["type"])

    @property
    def expected(self) -> str | None:
        """What the value should have been; None where it was of the right type and wrong in another way."""
        return self.details["ctx"]["expected"] if self.kind == "literal_error" else _TYPES.get(self.kind)


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return a hint that names what a misspelt word may have meant.

    Returns:
        ``"did you mean 'gradcam'?"``, or the list of choices where nothing is near, cut where it is long.
    """
    choices = sorted(choices)
    close = difflib.get_close_matches(word, choices, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"'{name}'" for name in close) + "?"
    return f"expected one of {_listed(choices)}" if choices else "nothing is known by any name here"


def _listed(choices: list[str]) -> str:
    """Return choices separated by commas, as many as a reader would read, and how many more there are."""
    lengths = accumulate(len(f"{choice}, ") for choice in choices)
    count = max(1, sum(length <= _LONGEST_LIST for length in lengths))
    rest = len(choices) - count
    return ", ".join(choices[:count]) + (f" and {rest} more" if rest else "")


def shown(value: object, limit: int = 60) -> str:
    """Return a value as it would stand in YAML, or nearly so, and not the whole of a long one."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    text = repr(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def faults_of(error: ValidationError, raw: object, cls: type[BaseModel] | None = None) -> list[Fault]:
    """Translate a validation error into faults.

    Args:
        error: What pydantic raised.
        raw: The data it was raised for.
        cls: What was to be built from them; None where it is no model.
    """
    complaints = [
        _Complaint(find_place(_location(details), raw, cls, is_missing=details["type"] == "missing"), details)
        for details in map(dict, error.errors(include_url=False))
        if not _is_echo(details)
    ]
    above = {path[: mark.start()] for path in {one.place.path for one in complaints} for mark in _STEP.finditer(path)}
    return [
        Fault(path, message)
        for path, group in groupby(complaints, key=lambda complaint: complaint.place.path)
        for message in _messages(list(group), has_faulty_parts=path in above)
    ]


def _location(details: Mapping[str, Any]) -> tuple[str | int, ...]:
    location: tuple[str | int, ...] = details["loc"]
    return location[:-1] if details["type"] == "invalid_key" else location


def _is_echo(details: Mapping[str, Any]) -> bool:
    """Tell whether a list is called too short only because faulty items, named by themselves, do not count."""
    given = details["input"]
    return details["type"] == "too_short" and isinstance(given, list) and len(given) >= details["ctx"]["min_length"]


def _messages(complaints: list[_Complaint], *, has_faulty_parts: bool) -> list[str]:
    """Return what is wrong in one place, where pydantic complains once for every type of a union.

    If the value has one of these types and is wrong in another way, only that is said.
    """
    closer = [complaint for complaint in complaints if complaint.expected is None]
    if closer or has_faulty_parts:
        return [_message(complaint) for complaint in closer]
    expected = ", or ".join(dict.fromkeys(filter(None, (complaint.expected for complaint in complaints))))
    return [f"expected {expected}, got {_given(complaints[-1])}"]


def _given(complaint: _Complaint) -> str:
    given = complaint.details["input"]
    if complaint.kind == "float_type" and isinstance(given, str) and (number := _LIKE_A_FLOAT.fullmatch(given)):
        sign, whole, rest, up, power = number.groups()
        return f"{shown(given)}; YAML takes {given} for text, write {sign}{whole}.{rest or 0}e{up or '+'}{power}"
    return shown(given) + (_TRUE_OR_FALSE if isinstance(given, bool) else "")


def _message(complaint: _Complaint) -> str:
    details = complaint.details
    kind, given, context = complaint.kind, shown(details["input"]), details.get("ctx", {})
    if kind in _BOUNDS:
        name, sign = _BOUNDS[kind]
        return f"expected a value {sign} {context[name]}, got {given}"
    if kind == "extra_forbidden":
        key = str(details["loc"][-1])
        return f"unknown key (its value is {given}); {nearest(key, complaint.place.keys)}"
    if kind == "missing":
        return "missing; a value is required"
    if kind == "invalid_key":
        return f"expected keys that are text, got {given}{_TRUE_OR_FALSE if isinstance(details['input'], bool) else ''}"
    if kind == "union_tag_not_found":
        return f"expected a mapping with a 'kind', such as {{kind: ...}}, got {given}{_misspelt_kind(details['input'])}"
    if kind == "union_tag_invalid":
        choices = [word.strip(" '") for word in context["expected_tags"].split(",")]
        tag = details["input"]["kind"] if isinstance(details["input"], dict) else context["tag"]
        return f"there is no kind {shown(tag)}; {nearest(str(tag), choices)}"
    if kind in _LENGTHS:
        name, words = _LENGTHS[kind]
        return f"expected {words} {context[name]} in the list, got {context['actual_length']}"
    if kind == "string_too_long":
        return f"expected at most {context['max_length']} characters, got {len(details['input'])}"
    if kind == "value_error":
        return str(context["error"])
    return f"{details['msg'][0].lower()}{details['msg'][1:]}, got {given}"


def _misspelt_kind(given: object) -> str:
    close = difflib.get_close_matches("kind", map(str, given), n=1) if isinstance(given, dict) else []
    return f"; did you mean 'kind' by '{close[0]}'?" if close else ""
