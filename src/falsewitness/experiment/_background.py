"""The training images that some explainers compare an image with."""

import numpy as np
import torch

from falsewitness.core import seed_for
from falsewitness.core.shapes import Background
from falsewitness.data import Dataset
from falsewitness.explainers import Explainer


def background_for(explainer: Explainer, dataset: Dataset, split_seed: int) -> Background | None:
    """Return training images drawn at random, always the same of the same split; None where none are asked for.

    Args:
        explainer: It says how many.
        dataset: Where they are from; all of them where there are fewer.
        split_seed: The seed of the data's split.

    Returns:
        Raw pixels in [0, 1], on the CPU.
    """
    if explainer.background_size == 0:
        return None
    order = np.random.default_rng(seed_for(split_seed, "background")).permutation(len(dataset.train))
    rows = np.sort(order[: explainer.background_size])
    return torch.from_numpy(dataset.train.images[rows]).float() / 255
