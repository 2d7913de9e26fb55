"""Finds a spec by the name of a recipe or in a file, and applies changes to it."""

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from falsewitness.core import Fault, InputError, SpecError
from falsewitness.core.faults import nearest
from falsewitness.experiment._spec import Spec

_BASE = "base"


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package, sorted."""
    return sorted(
        f"{folder.name}/{file.name.removesuffix('.yaml')}"
        for folder in files("falsewitness.recipes").iterdir()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    )


def recipe_summary(name: str) -> str:
    """Return what a recipe says of itself in its first line."""
    first = _recipe_file(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()


def find_spec(name: str, changes: Sequence[str] = ()) -> Spec:
    """Return a recipe of the package, or the spec in a file.

    Args:
        name: A recipe's name (``digits/badnets``) or a file's path (``mine.yaml``).
        changes: ``a.b=value`` each, the value in YAML.

    Raises:
        InputError: If there is neither, or the file cannot be read.
        SpecError: With every fault of the spec.
    """
    raw = _read_recipe(name) if name in recipe_names() else _read_file(name)
    for change in changes:
        raw = changed(raw, change)
    raw.setdefault("name", Path(name).stem)
    return Spec.parse(raw, f"spec '{name}'")


def read_spec(path: Path) -> Spec:
    """Return the spec in a file, as a run folder keeps it.

    Raises:
        InputError: If it cannot be read.
        SpecError: With every fault of the spec.
    """
    return Spec.parse(_read_file(str(path)), f"spec '{path}'")


def _read_recipe(name: str) -> dict[str, Any]:
    return {"name": name, **_with_base(_parsed(_text(_recipe_file(name), name), name), name)}


def _recipe_file(name: str) -> Traversable:
    return files("falsewitness.recipes").joinpath(*f"{name}.yaml".split("/"))


def _read_file(name: str) -> dict[str, Any]:
    if not os.path.isfile(name):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        raise InputError(f"there is no recipe and no file '{name}'; {nearest(name, recipe_names())}")
    return _with_base(_parsed(_text(Path(name), name), name), name)


def _text(file: Path | Traversable, name: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"spec '{name}': expected a YAML file in UTF-8, got {error}") from None


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise InputError(f"spec '{name}': expected YAML without aliases (*name); write the value out")
        raw = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"spec '{name}': expected YAML, got {line}") from None
    if not isinstance(raw, dict):
        raise InputError(f"spec '{name}': expected a mapping of keys to values, got {type(raw).__name__}")
    return raw


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe subset, in which a key stands once: otherwise the last of two would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, or say which key stands twice."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"the key '{twice[0]}' twice in one mapping, on line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


def _with_base(raw: dict[str, Any], name: str) -> dict[str, Any]:
    """Lay a spec over the recipe that it names as its ``base``."""
    if _BASE not in raw:
        return raw
    base = raw[_BASE]
    if base not in recipe_names():
        raise InputError(f"spec '{name}': base: there is no recipe {base!r}; {nearest(str(base), recipe_names())}")
    inherited = _read_recipe(base)
    del inherited["name"]
    return _merged(inherited, {key: value for key, value in raw.items() if key != _BASE})


def _merged(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another; a mapping that names another kind replaces what is under it."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = value
        if isinstance(below, dict) and isinstance(value, dict) and value.get("kind") in (None, below.get("kind")):
            result[key] = _merged(below, value)
    return result


def changed(raw: dict[str, Any], change: str) -> dict[str, Any]:
    """Return plain spec data with one field changed; another ``kind`` drops what was said of the one before.

    Args:
        raw: As YAML gives it; left alone.
        change: ``a.b=value``, the value in YAML.

    Raises:
        InputError: If the change cannot be read or does not fit.
    """
    path, equals, text = change.partition("=")
    if not equals or not path:
        raise InputError(f"--set: expected a.b=value, got '{change}'")
    value = _parsed(f"value: {text}", f"--set {change}")["value"]
    result: dict[str, Any] = dict(raw)
    place: Any = result
    *parents, last = path.split(".")
    for depth, key in enumerate(parents):
        below = place.get(key)
        if below is None:
            below = {}
        if not isinstance(below, dict):
            where = ".".join(parents[: depth + 1])
            raise SpecError([Fault(where, f"expected a mapping to set '{path}' in, got {below!r}")], "--set")
        place[key] = dict(below)
        place = place[key]
    if last == "kind" and place.get("kind") not in (None, value):
        place.clear()
    place[last] = value
    return result
