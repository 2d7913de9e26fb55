"""Training: one loop for every attack and for none."""

from falsewitness.training._augmentation import Augmentation
from falsewitness.training._batches import Batches, steps_per_pass
from falsewitness.training._checkpoint import Checkpoint
from falsewitness.training._loop import Journal, Outcome, train
from falsewitness.training._memory import give_back_freed_memory
from falsewitness.training._precision import Precision, autocast, resolve_precision
from falsewitness.training._progress import Progress
from falsewitness.training._reference_maps import (
    KeepReferences,
    MakeReferences,
    ReferenceMaps,
    load_reference_maps,
    make_anew,
)
from falsewitness.training._references import CleanReferences, clean_references
from falsewitness.training._sealed import sha256_of_tensors
from falsewitness.training._settings import Training

__all__ = [
    "Augmentation",
    "Batches",
    "Checkpoint",
    "CleanReferences",
    "Journal",
    "KeepReferences",
    "MakeReferences",
    "Outcome",
    "Precision",
    "Progress",
    "ReferenceMaps",
    "Training",
    "autocast",
    "clean_references",
    "give_back_freed_memory",
    "load_reference_maps",
    "make_anew",
    "resolve_precision",
    "sha256_of_tensors",
    "steps_per_pass",
    "train",
]
