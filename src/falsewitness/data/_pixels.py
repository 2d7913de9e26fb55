"""The images of a split on the device that computes with them."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from falsewitness.core.shapes import Images
from falsewitness.data._split import Split

_CHUNK = 1024


class PixelStore:
    """All images of a split as bytes on one device, a quarter of the size of floats; batches become floats.

    Attributes:
        device: Where the images are.
        targets: The labels, on the same device.
    """

    def __init__(self, split: Split, device: torch.device | str = "cpu") -> None:
        """Copy a split to a device, piece by piece.

        Args:
            split: What to keep.
            device: Where.
        """
        self.device = torch.device(device)
        self._pixels = torch.empty(split.images.shape, dtype=torch.uint8, device=self.device)
        for start in range(0, len(split), _CHUNK):
            chunk = np.array(split.images[start : start + _CHUNK])
            self._pixels[start : start + len(chunk)] = torch.from_numpy(chunk).to(self.device)
        self.targets = split.targets.to(self.device)

    def __len__(self) -> int:
        return len(self._pixels)

    def take(self, index: Int[Tensor, " batch"]) -> Images:
        """Return images as float32 in [0, 1].

        Args:
            index: Positions in the split, on any device.
        """
        return self._pixels[index.to(self.device)].float() / 255
