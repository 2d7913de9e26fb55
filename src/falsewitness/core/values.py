"""What an image's numbers are called in ``values.npz``: between those who write them and those who compare runs."""


def values_key(metric: str, name: str, auditor: str | None = None) -> str:
    """Return the key of a measurement's numbers, one an image.

    Args:
        metric: The metric's kind.
        name: The quantity.
        auditor: The auditor's label; None for what needs no maps.
    """
    return f"{metric}/{name}" if auditor is None else f"{auditor}/{metric}/{name}"
