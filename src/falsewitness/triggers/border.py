"""A frame around the image."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field

from falsewitness.core import DataInfo, Fault
from falsewitness.triggers._base import Stamp, Trigger
from falsewitness.triggers._colour import Colour, as_pixel, colour_faults
from falsewitness.triggers._picture import Picture, laid_over


class Border(Trigger):
    """A frame of one colour along all four edges, after the adversarial framing of Zajac et al. (2019)."""

    kind: Literal["border"] = "border"

    width: int = Field(default=1, ge=1)
    """Pixels from each edge inwards."""

    colour: Colour = (1.0,)
    """One value for all channels, or one each; white by default."""

    source: ClassVar[str] = "Zajac et al., Adversarial framing for image and video classification, AAAI 2019"

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if 2 * self.width >= min(info.height, info.width):
            yield Fault(
                "width",
                f"expected a frame that leaves room in {info.height}x{info.width} pixels, got {self.width}",
            )
        yield from colour_faults("colour", self.colour, info)

    def _stamp(self, info: DataInfo) -> Stamp:
        opacity = torch.ones(info.height, info.width)
        opacity[self.width : -self.width, self.width : -self.width] = 0
        pixels = as_pixel(self.colour, info).expand(-1, info.height, info.width)
        return laid_over(info, Picture(pixels, opacity))
