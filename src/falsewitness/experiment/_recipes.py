"""Finds a spec by the name of a recipe or in a file, and applies changes to it."""

import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from falsewitness.core import InputError
from falsewitness.core.errors import of_problems
from falsewitness.core.faults import nearest, shown
from falsewitness.core.files import what_lies_at
from falsewitness.core.plain_yaml import LONGEST, read_yaml
from falsewitness.experiment._spec import LONGEST_NAME, Spec, parse_spec

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
    return parse_spec(changed(raw_spec(name), changes), f"spec '{name}'")


def raw_spec(name: str) -> dict[str, Any]:
    """Return likewise what a recipe or a file says, as YAML has it, laid over its base and with a name.

    Raises:
        InputError: If there is neither, or the file cannot be read.
    """
    raw = _read_recipe(name) if name in recipe_names() else _read_file(name)
    return {"name": named_after(name), **raw}


def read_spec(path: Path) -> Spec:
    """Return the spec in a file, as a run folder keeps it.

    Raises:
        InputError: If it cannot be read.
        SpecError: With every fault of the spec.
    """
    return Spec.parse(_read_file(str(path)), f"spec '{path}'")


def named_after(file: str) -> str:
    """Return a name for what stands in a file, of the signs that a spec's may have."""
    return re.sub("[^A-Za-z0-9_.-]+", "-", Path(file).stem).strip("-_.")[:LONGEST_NAME] or "spec"


def _read_recipe(name: str) -> dict[str, Any]:
    return {"name": name, **_with_base(read_yaml_file(_recipe_file(name), f"spec '{name}'"), name)}


def _recipe_file(name: str) -> Traversable:
    return files("falsewitness.recipes").joinpath(*f"{name}.yaml".split("/"))


def _read_file(name: str) -> dict[str, Any]:
    return _with_base(read_yaml_file(own_file(name, "recipe", recipe_names()), f"spec '{name}'"), name)


def own_file(name: str, shipped: str, known: Sequence[str]) -> Path:
    """Return a user's file, given by its path where the name of something that ships may stand.

    Args:
        name: The path.
        shipped: What ships under names, in a word.
        known: Their names.

    Raises:
        InputError: If there is no such file; names the nearest of what ships.
    """
    try:
        found = what_lies_at(name)
    except OSError as error:
        raise InputError(f"{shown(name)}: {error.strerror}; expected a {shipped}'s name or a YAML file") from None
    if found == "nothing":
        raise InputError(f"there is no {shipped} and no file {shown(name)}; {nearest(name, known)}")
    if found != "a file":
        raise InputError(f"{shown(name)} is {found}; expected a {shipped}'s name or a YAML file")
    return Path(name)


def read_yaml_file(file: Path | Traversable, where: str) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Args:
        file: On the disk, or in the package.
        where: What is read, for the error message.

    Raises:
        InputError: If it cannot be read or holds no mapping.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(LONGEST + 1)
    except OSError as error:
        raise InputError(f"{where}: expected a YAML file, got '{error.strerror}'; check the path") from None
    raw = read_yaml(content, where)
    if not isinstance(raw, dict):
        raise InputError(f"{where}: expected a mapping of keys to values, got {shown(raw)}")
    return raw


def _with_base(raw: dict[str, Any], name: str) -> dict[str, Any]:
    """Lay a spec over the recipe that it names as its ``base``."""
    if _BASE not in raw:
        return raw
    base = raw[_BASE]
    if base not in recipe_names():
        raise InputError(f"spec '{name}': base: there is no recipe {shown(base)}; {nearest(str(base), recipe_names())}")
    inherited = _read_recipe(base)
    del inherited["name"]
    return laid_over(inherited, {key: value for key, value in raw.items() if key != _BASE})


def laid_over(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay plain spec data over other; a mapping that names another kind replaces what is under it."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        result[key] = value
        if isinstance(below, dict) and isinstance(value, dict) and value.get("kind") in (None, below.get("kind")):
            result[key] = laid_over(below, value)
    return result


def changed(raw: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return plain spec data with fields changed; another ``kind`` drops what was said of the one before.

    Args:
        raw: As YAML gives it; left alone.
        changes: ``a.b=value`` each, the value in YAML; made in this order.

    Raises:
        InputError: Naming every change that cannot be read or does not fit.
    """
    problems: list[str] = []
    for change in changes:
        try:
            raw = _changed(raw, change)
        except InputError as error:
            problems.append(error.in_a_line)
    if problems:
        raise of_problems(problems, "--set")
    return raw


def _changed(raw: dict[str, Any], change: str) -> dict[str, Any]:
    path, equals, text = change.partition("=")
    *parents, last = path.split(".")
    if not equals or not all([*parents, last]):
        raise InputError(f"--set: expected a.b=value, got {shown(change)}")
    value = read_yaml(os.fsencode(text), f"--set {change if len(change) <= 60 else change[:57] + '...'}")
    result: dict[str, Any] = dict(raw)
    place: Any = result
    for depth, key in enumerate(parents):
        below = place.get(key)
        if below is None:
            below = {}
        if not isinstance(below, dict):
            where = ".".join(parents[: depth + 1])
            raise InputError(f"--set {path}: expected a mapping in '{where}', got {shown(below)}")
        place[key] = dict(below)
        place = place[key]
    if last == "kind" and place.get("kind") not in (None, value):
        place.clear()
    place[last] = value
    return result
