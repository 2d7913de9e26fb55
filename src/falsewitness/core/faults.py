"""Turns what pydantic says into lines that a user can act on."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from falsewitness.core.errors import Fault

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
_LIKE_A_FLOAT = re.compile(r"[+-]?\d+e[+-]?\d+$", re.IGNORECASE)
_LENGTHS = {
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
}


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return a hint that names what a misspelt word may have meant.

    Returns:
        ``"did you mean 'gradcam'?"``, or the list of choices where nothing is near.
    """
    choices = sorted(choices)
    close = difflib.get_close_matches(word, choices, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"'{name}'" for name in close) + "?"
    return "expected one of " + ", ".join(choices) if choices else "nothing is known by any name here"


def faults_of(error: ValidationError, raw: object) -> list[Fault]:
    """Translate a validation error into faults.

    Args:
        error: What pydantic raised.
        raw: The data it was raised for, to tell keys from the labels that pydantic adds to a path.
    """
    known = {}
    for details in error.errors(include_url=False):
        if not _is_echo(dict(details)):
            fault = Fault(_path(details["loc"], raw, details["type"] == "missing"), _message(dict(details)))
            known[fault.path, fault.message] = fault
    return list(known.values())


def _is_echo(details: dict[str, Any]) -> bool:
    """Tell whether a list is called too short only because faulty items, named by themselves, do not count."""
    given = details["input"]
    return details["type"] == "too_short" and isinstance(given, list) and len(given) >= details["ctx"]["min_length"]


def _path(location: Sequence[str | int], raw: object, missing: bool) -> str:
    """Return the keys and places that lead to a fault, without the tags and types of the unions on the way."""
    path = ""
    for depth, part in enumerate(location, start=1):
        if isinstance(part, int):
            path += f"[{part}]"
        elif isinstance(raw, dict) and (part in raw or (missing and depth == len(location))):
            path += f".{part}"
        else:
            continue
        raw = _step(raw, part)
    return path.removeprefix(".")


def _step(raw: object, part: str | int) -> object:
    try:
        return raw[part]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return None


def _message(details: dict[str, Any]) -> str:
    kind, given, context = details["type"], _short(details["input"]), details.get("ctx", {})
    if kind in _TYPES:
        hint = "; YAML takes 1e-3 for text, write 1.0e-3" if _LIKE_A_FLOAT.match(str(details["input"])) else ""
        return f"expected {_TYPES[kind]}, got {given}{hint if kind == 'float_type' else ''}"
    if kind in _BOUNDS:
        name, sign = _BOUNDS[kind]
        return f"expected a value {sign} {context[name]}, got {given}"
    if kind == "extra_forbidden":
        return f"unknown key (its value is {given}); remove it or correct its spelling"
    if kind == "missing":
        return "missing; a value is required"
    if kind == "union_tag_not_found":
        return "expected a mapping with a 'kind', such as {kind: ...}, got " + given
    if kind == "union_tag_invalid":
        choices = [word.strip(" '") for word in context["expected_tags"].split(",")]
        return f"there is no kind {context['tag']!r}; {nearest(str(context['tag']), choices)}"
    if kind in _LENGTHS:
        name, words = _LENGTHS[kind]
        return f"expected {words} {context[name]} in the list, got {context['actual_length']}"
    if kind == "literal_error":
        return f"expected {context['expected']}, got {given}"
    if kind == "value_error":
        return str(context["error"])
    return f"{details['msg'][0].lower()}{details['msg'][1:]}, got {given}"


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
