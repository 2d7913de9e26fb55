"""Random numbers of explainers: the same for every image, so that a map does not depend on the batch."""

from typing import Annotated

import torch
from pydantic import Field

from falsewitness.core import seed_for
from falsewitness.core.seeds import LARGEST_SEED

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]


def generator(seed: int, draw: int) -> torch.Generator:
    """Return a source of random numbers on the CPU: those of equal seed and draw give the same on every device.

    Args:
        seed: The explainer's.
        draw: 0 for an auditor; in training each step has its own.
    """
    return torch.Generator().manual_seed(seed_for(seed, f"explainer/{draw}"))
