"""The code of components that are not ours: what they do changes with it, while no version number of ours rises."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

from falsewitness.core.component import Strict
from falsewitness.core.errors import InputError

_INSTALLED = {"site-packages", "dist-packages"}


def foreign_sources(part: Strict) -> list[Path]:
    """Return the source files of a part's class and of its nested parts', where these are not ours.

    They stand in the order of their modules' names, wherever they lie.

    Modules that these import count, too, where they lie beside or below them and are no other installed package.

    Raises:
        InputError: If a class has no file, as one that was typed at a prompt.
    """
    found: dict[str, Path] = {}
    for cls in _foreign_classes(part):
        module = sys.modules.get(cls.__module__)
        file = _file_of(module)
        if module is None or file is None:
            raise InputError(
                f"{cls.__qualname__}: expected a class in a file, whose content tells when it changes, got one of "
                f"'{cls.__module__}', which has none; put it into a file"
            )
        package = cls.__module__.partition(".")[0]
        depth = cls.__module__.count(".") + (file.name == "__init__.py")
        _add_imported(module, file.parents[depth], package, found)
    return [found[name] for name in sorted(found)]


def _foreign_classes(part: Strict) -> Iterator[type]:
    if not type(part).__module__.startswith("falsewitness."):
        yield type(part)
    for item in vars(part).values():
        for value in item if isinstance(item, tuple) else (item,):
            if isinstance(value, Strict):
                yield from _foreign_classes(value)


def _add_imported(module: ModuleType, root: Path, package: str, found: dict[str, Path]) -> None:
    """Add the file of a module, and of all that it has names from, to those found."""
    file = _file_of(module)
    if file is None or module.__name__ in found or not _belongs(file, module.__name__, root, package):
        return
    found[module.__name__] = file
    for value in list(vars(module).values()):
        if isinstance(value, type | FunctionType):
            value = sys.modules.get(value.__module__)
        if isinstance(value, ModuleType):
            _add_imported(value, root, package, found)


def _belongs(file: Path, name: str, root: Path, package: str) -> bool:
    top = name.partition(".")[0]
    if top == package:
        return True
    beside = file.is_relative_to(root) and top not in {"falsewitness", *sys.stdlib_module_names}
    return beside and _INSTALLED.isdisjoint(file.parts)


def _file_of(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if isinstance(file, str) else None
