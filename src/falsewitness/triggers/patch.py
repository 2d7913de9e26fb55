"""A square patch of one colour."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import model_validator

from falsewitness.core import DataInfo, Fault
from falsewitness.triggers._colour import Colour, as_pixel, colour_faults
from falsewitness.triggers._picture import Picture
from falsewitness.triggers._placement import PlacedTrigger


class Patch(PlacedTrigger):
    """A square of one colour, as BadNets has it (Gu et al. 2017), in a ring of another colour if wanted.

    ``size=4, margin=1, ring=(0,)`` is the trigger of Noppel et al. (2023) on CIFAR-10: a white 2x2 centre in
    a black ring of one pixel, in rows and columns 27 to 30.
    """

    kind: Literal["patch"] = "patch"

    colour: Colour = (1.0,)
    """One value for all channels, or one each; white by default."""

    ring: Colour | None = None
    """Colour of the outermost pixels of the square; null for none of their own."""

    source: ClassVar[str] = "Gu et al., BadNets, 2017 (arXiv 1708.06733); Noppel et al., S&P 2023"

    @model_validator(mode="after")
    def _ring_leaves_a_centre(self) -> "Patch":
        if self.ring is not None and self.size < 3:
            raise ValueError(f"expected a size of at least 3 with a ring, got {self.size}")
        return self

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        yield from colour_faults("colour", self.colour, info)
        if self.ring is not None:
            yield from colour_faults("ring", self.ring, info)
        yield from super()._check(info)

    def _picture(self, info: DataInfo) -> Picture:
        edge = self.colour if self.ring is None else self.ring
        pixels = as_pixel(edge, info).repeat(1, self.size, self.size)
        pixels[:, 1:-1, 1:-1] = as_pixel(self.colour, info)
        return Picture(pixels, torch.ones(self.size, self.size))
