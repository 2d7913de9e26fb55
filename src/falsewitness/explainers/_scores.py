"""Which score is explained."""

from falsewitness.core.shapes import Classes, Logits, PerRow


def chosen_classes(logits: Logits, classes: Classes | None) -> Classes:
    """Return the classes asked for, or the predicted ones."""
    return logits.argmax(1) if classes is None else classes


def scores_of(logits: Logits, classes: Classes) -> PerRow:
    """Return each row's logit of its class."""
    return logits.gather(1, classes[:, None])[:, 0]
