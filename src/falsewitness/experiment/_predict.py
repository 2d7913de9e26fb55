"""Trained models' answers for a whole split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from falsewitness.core.shapes import Logits, Rows
from falsewitness.data import PixelStore
from falsewitness.experiment._spec import Role
from falsewitness.models import Classifier, folded
from falsewitness.triggers import Stamp

_CHUNK = 500


@dataclass(frozen=True)
class Answers:
    """All models' logits for the test images.

    Attributes:
        clean: Without the trigger.
        triggered: With it; nobody's where no attack is examined.
    """

    clean: Mapping[Role, Logits]
    triggered: Mapping[Role, Logits]


@torch.no_grad()
def predicted(
    model: Classifier,
    store: PixelStore,
    stamp: Stamp | None = None,
    rows: Rows | None = None,
    told: Callable[[int], None] = lambda done: None,
) -> Logits:
    """Return the logits of images, in single precision.

    Args:
        model: In evaluation mode, on the store's device.
        store: The images.
        stamp: A trigger to lay on them first; None for the images as they are.
        rows: Which images; all where None.
        told: Told how many are done.
    """
    rows = torch.arange(len(store), device=store.device) if rows is None else rows.to(store.device)
    answers, done = [], 0
    with folded(model):
        for chunk in rows.split(_CHUNK):
            images = store.take(chunk)
            answers.append(model(images if stamp is None else stamp(images)).float())
            done += len(chunk)
            told(done)
    return torch.cat(answers)
