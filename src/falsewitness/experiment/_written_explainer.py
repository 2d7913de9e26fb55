"""An explainer as somebody writes it on a command line."""

import os

from falsewitness.core import InputError
from falsewitness.core.faults import shown
from falsewitness.core.plain_yaml import read_yaml
from falsewitness.explainers import EXPLAINERS, Explainer


def written_explainer(text: str) -> Explainer:
    """Return the explainer that a text names.

    Args:
        text: A kind, for an explainer with its defaults; or a mapping in YAML, ``{kind: gradcam, layer: layers.0}``.

    Raises:
        InputError: If there is no such kind, or a mapping is no YAML or has none.
        SpecError: With every fault of its fields.
    """
    if not text.lstrip().startswith("{"):
        return EXPLAINERS.get(text).parse({"kind": text}, f"explainer '{text}'")
    where = f"explainer {shown(text)}"
    raw = read_yaml(os.fsencode(text), where)
    kind = raw.get("kind") if isinstance(raw, dict) else None
    if not isinstance(kind, str):
        raise InputError(f"{where}: expected a mapping with a kind, such as {{kind: gradcam}}, got {shown(raw)}")
    return EXPLAINERS.get(kind).parse(raw, where)
