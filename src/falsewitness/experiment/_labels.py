"""What the auditors of a run are called in its files."""

import json
from collections import Counter
from collections.abc import Sequence

from falsewitness.core import InputError
from falsewitness.explainers import EXPLAINERS, Explainer


def expect_own_kinds(explainers: Sequence[Explainer]) -> None:
    """Expect that a kind names one class: figures and maps are filed under it.

    Raises:
        InputError: If a class bears another one's kind, as one that extends it does unless it has a field of its own.
    """
    classes: dict[str, type[Explainer]] = {}
    for explainer in explainers:
        kind, cls = explainer.kind_name(), type(explainer)
        known = EXPLAINERS.get(kind) if kind in EXPLAINERS.kinds() else classes.setdefault(kind, cls)
        if known is not cls:
            raise InputError(
                f"explainer {cls.__module__}:{cls.__name__}: expected a kind of its own, got '{kind}', which is "
                f"{known.__module__}:{known.__name__}'s, so that its figures would pass for those; add a field such as "
                f'kind: Literal["my_{kind}"] = "my_{kind}"'
            )


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
