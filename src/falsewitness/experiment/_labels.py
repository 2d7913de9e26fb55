"""What the auditors of a run are called in its files."""

import json
from collections import Counter
from collections.abc import Sequence

from falsewitness.explainers import Explainer


def labelled(auditors: Sequence[Explainer]) -> dict[str, Explainer]:
    """Give every auditor a name of its own.

    An auditor is called by its kind. Where several are of one kind, the fields tell them apart in which they differ,
    unless at their defaults: ``lime`` and ``lime (fill 0.5)``. What is still alike is numbered.
    """
    named, met = list[str](), Counter[str]()
    for auditor in auditors:
        name = _name(auditor.as_auditor(), [other.as_auditor() for other in auditors if other.kind == auditor.kind])
        met[name] += 1
        named.append(name if met[name] == 1 else f"{name}-{met[name]}")
    return dict(zip(named, auditors, strict=True))


def _name(auditor: Explainer, of_its_kind: Sequence[Explainer]) -> str:
    told = [
        f"{name} {_written(auditor.plain()[name])}"
        for name, field in type(auditor).model_fields.items()
        if getattr(auditor, name) != field.default
        and any(getattr(other, name, None) != getattr(auditor, name) for other in of_its_kind)
    ]
    return f"{auditor.kind} ({', '.join(told)})" if told else auditor.kind


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
