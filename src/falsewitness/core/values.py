"""What those who write a run's files agree on with those who read them."""

SCHEMA_VERSION = 1
"""Of ``result.json``; a reader refuses every other."""


def values_key(metric: str, name: str, auditor: str | None = None) -> str:
    """Return what a measurement's numbers, one an image, are called in ``values.npz``.

    Args:
        metric: The metric's kind.
        name: The quantity.
        auditor: The auditor's label; None for what needs no maps.
    """
    return f"{metric}/{name}" if auditor is None else f"{auditor}/{metric}/{name}"
