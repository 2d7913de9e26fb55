"""Which score is explained, and in which precision its map is computed."""

import torch
from torch import Tensor

from falsewitness.core.shapes import Classes, Logits, PerRow


def chosen_classes(logits: Logits, classes: Classes | None) -> Classes:
    """Return the classes asked for, or the predicted ones."""
    return logits.argmax(1) if classes is None else classes


def scores_of(logits: Logits, classes: Classes) -> PerRow:
    """Return each row's logit of its class."""
    return logits.gather(1, classes[:, None])[:, 0]


def at_least_single(tensor: Tensor) -> Tensor:
    """Return the tensor in single precision or better: maps are never computed in bfloat16."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
