"""Explainers as they are written on the command line: ours, a plug-in's, or a class of one's own."""

import importlib
import sys
from pathlib import Path

from falsewitness.core.errors import InputError, told_with_its_place
from falsewitness.core.faults import nearest
from falsewitness.experiment import written_explainer
from falsewitness.explainers import EXPLAINERS, Explainer

_EXPECTED = "expected package.module:Class, of an installed package or of a file in the current folder"


def chosen_explainer(text: str, option: str) -> Explainer:
    """Return an explainer by what is written, or by the place of its class.

    Args:
        text: A kind, a mapping with a kind and fields, or ``package.module:Class``.
        option: The option that it was written for, for errors.

    Raises:
        InputError: If there is none.
        SpecError: With every fault of its fields.
    """
    if ":" not in text or text.lstrip().startswith("{"):
        return written_explainer(text)
    cls = _loaded(text, f"--{option} {text}")
    return cls.parse({"kind": cls.kind_name()}, f"{option} '{text}'")


def _loaded(place: str, where: str) -> type[Explainer]:
    """Return the class at ``package.module:Class``; modules in the current folder count."""
    module, _, name = place.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise InputError(f"{where}: {_EXPECTED}")
    sys.path.append(str(Path.cwd()))
    try:
        found = importlib.import_module(module)
        cls = getattr(found, name, None)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
            raise InputError(f"{where}: there is no module '{error.name}'; {_EXPECTED}") from None
        raise InputError(f"{where}: '{module}' raised {told_with_its_place(error)} when imported; mend it") from error
    if cls is None:
        known = [cls for cls, value in vars(found).items() if isinstance(value, type) and issubclass(value, Explainer)]
        raise InputError(f"{where}: there is no class '{name}' in '{module}'; {nearest(name, known)}")
    return EXPLAINERS.accept(cls, where)
