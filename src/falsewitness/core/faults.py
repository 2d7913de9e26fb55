"""Turns what pydantic says into lines that a user can act on."""

import difflib
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
        raw: The data it was raised for, to tell keys from the tags that pydantic adds to a path.
    """
    known = {}
    for details in error.errors(include_url=False):
        fault = Fault(_path(details["loc"], raw), _message(dict(details)))
        known[fault.path, fault.message] = fault
    return list(known.values())


def _path(location: Sequence[str | int], raw: object) -> str:
    path = ""
    for part in location:
        is_tag = isinstance(raw, dict) and part not in raw and raw.get("kind") == part
        if is_tag:
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
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
        return f"expected {_TYPES[kind]}, got {given}"
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
    if kind == "literal_error":
        return f"expected {context['expected']}, got {given}"
    if kind == "value_error":
        return str(context["error"])
    return f"{details['msg'][0].lower()}{details['msg'][1:]}, got {given}"


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
