"""Explainers as they are written on the command line: ours, a plug-in's, or a class of one's own."""

import importlib
import sys
from pathlib import Path

from falsewitness.core.errors import InputError
from falsewitness.experiment import written_explainer
from falsewitness.explainers import EXPLAINERS, Explainer


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
    sys.path.append(str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise InputError(f"{where}: expected package.module:Class to be there to import, got {reason}") from error
    return EXPLAINERS.accept(found, where)
