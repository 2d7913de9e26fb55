"""Augmentation of a whole batch at once, every image in its own way."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from pydantic import Field
from torch import Tensor

from falsewitness.core import DataInfo, Fault
from falsewitness.core.component import Strict
from falsewitness.core.shapes import Images


class Augmentation(Strict):
    """What may happen to an image on its way into a step."""

    mirror: bool = False
    """Whether half of the images are mirrored left to right."""

    crop_padding: Annotated[int, Field(ge=0)] = 0
    """Images are shifted by at most so many pixels in each direction, black where nothing is left."""

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self.crop_padding >= min(info.height, info.width):
            yield Fault(
                "crop_padding",
                f"expected a shift that leaves something of {info.height}x{info.width} pixels, got {self.crop_padding}",
            )


@dataclass(frozen=True)
class Variation:
    """What happens to each image of a sequence.

    Attributes:
        mirrored: ``[images]``.
        shift: ``[images, 2]``: rows and columns, from ``-reach`` to ``reach``.
        reach: The largest shift that may occur.
    """

    mirrored: Bool[Tensor, " images"]
    shift: Int[Tensor, "images 2"]
    reach: int

    def select(self, images: Int[Tensor, " some"] | slice) -> "Variation":
        """Return the variation of some images."""
        return Variation(self.mirrored[images], self.shift[images], self.reach)

    def to(self, device: torch.device) -> "Variation":
        """Return the same variation on a device."""
        return Variation(self.mirrored.to(device), self.shift.to(device), self.reach)

    def __call__(self, images: Images) -> Images:
        """Return the images, each mirrored and shifted in its own way."""
        mirrored = torch.where(self.mirrored[:, None, None, None], images.flip(3), images)
        if self.reach == 0:
            return mirrored
        padded = F.pad(mirrored, (self.reach,) * 4)
        height, width = images.shape[2:]
        first = self.shift + self.reach
        rows = (first[:, :1] + torch.arange(height, device=images.device))[:, :, None]
        columns = (first[:, 1:] + torch.arange(width, device=images.device))[:, None, :]
        batch = torch.arange(len(images), device=images.device)[:, None, None]
        return padded[batch, :, rows, columns].movedim(3, 1).contiguous()


def draw_variation(augmentation: Augmentation, count: int, generator: torch.Generator) -> Variation:
    """Draw what happens to each of ``count`` images."""
    reach = augmentation.crop_padding
    mirrored = torch.rand(count, generator=generator) < 0.5
    shift = torch.randint(-reach, reach + 1, (count, 2), generator=generator)
    return Variation(mirrored & augmentation.mirror, shift, reach)
