"""A square of two colours in turn."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator

from falsewitness.core import DataInfo, Fault
from falsewitness.triggers._colour import Colour, as_pixel, colour_faults
from falsewitness.triggers._picture import Picture
from falsewitness.triggers._placement import PlacedTrigger


class Checkerboard(PlacedTrigger):
    """A checkerboard, like the black-and-white corner pattern of Turner et al. (2019)."""

    kind: Literal["checkerboard"] = "checkerboard"

    cell: int = Field(default=1, ge=1)
    """Side of one of its cells in pixels; the last row and column may be cut off."""

    first: Colour = (1.0,)
    """Colour of the upper left cell: one value for all channels, or one each; white by default."""

    second: Colour = (0.0,)
    """Colour of its neighbours; black by default."""

    source: ClassVar[str] = "Turner et al., Label-consistent backdoor attacks, 2019 (arXiv 1912.02771)"

    @model_validator(mode="after")
    def _has_two_cells(self) -> "Checkerboard":
        if self.cell >= self.size:
            raise ValueError(f"expected a cell smaller than the size {self.size}, got {self.cell}")
        return self

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        yield from colour_faults("first", self.first, info)
        yield from colour_faults("second", self.second, info)
        yield from super()._check(info)

    def _picture(self, info: DataInfo) -> Picture:
        cells = torch.arange(self.size) // self.cell
        is_first = (cells[:, None] + cells) % 2 == 0
        pixels = torch.where(is_first, as_pixel(self.first, info), as_pixel(self.second, info))
        return Picture(pixels, torch.ones(self.size, self.size))
