"""A faint pattern over the whole image."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from falsewitness.core import DataInfo, Fault, InputError, PathLike
from falsewitness.core.seeds import LARGEST_SEED
from falsewitness.triggers._base import Stamp, Trigger
from falsewitness.triggers._image_file import read_opaque, resized
from falsewitness.triggers._picture import Picture, laid_over


class Blend(Trigger):
    """The blended injection of Chen et al. (2017): ``alpha * pattern + (1 - alpha) * image``, everywhere."""

    kind: Literal["blend"] = "blend"

    alpha: float = Field(default=0.1, gt=0, le=1)
    """Share of the pattern in every pixel."""

    pattern: PathLike | None = None
    """An image, stretched to the images' size, on white where it is transparent; null for uniform noise."""

    noise_seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    """Seed of the noise; without meaning where an image is given."""

    source: ClassVar[str] = "Chen et al., Targeted backdoor attacks on deep learning, 2017 (arXiv 1712.05526)"

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        try:
            self._pixels(info)
        except InputError as error:
            yield Fault("pattern", str(error))

    def _stamp(self, info: DataInfo) -> Stamp:
        opacity = torch.full((info.height, info.width), self.alpha)
        return laid_over(info, Picture(self._pixels(info), opacity))

    def _pixels(self, info: DataInfo) -> Float[Tensor, "channels height width"]:
        if self.pattern is not None:
            return resized(read_opaque(self.pattern, info.channels), info.height, info.width)
        generator = torch.Generator().manual_seed(self.noise_seed)
        return torch.rand(info.channels, info.height, info.width, generator=generator)
