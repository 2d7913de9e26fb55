"""What the auditors of a run are called in its files."""

from collections.abc import Sequence

from falsewitness.explainers import Explainer


def labelled(auditors: Sequence[Explainer]) -> dict[str, Explainer]:
    """Give every auditor a name of its own: its kind, numbered where several are of one kind."""
    labels: dict[str, Explainer] = {}
    for auditor in auditors:
        same = sum(other.kind == auditor.kind for other in labels.values())
        labels[auditor.kind if same == 0 else f"{auditor.kind}-{same + 1}"] = auditor
    return labels
