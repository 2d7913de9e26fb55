"""A picture with transparent parts, somewhere in the image."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from falsewitness.core import DataInfo, Fault, InputError, PathLike
from falsewitness.triggers._image_file import read_with_opacity, resized
from falsewitness.triggers._picture import Picture
from falsewitness.triggers._placement import PlacedTrigger


class ImageTrigger(PlacedTrigger):
    """A picture laid over the image, the blended accessory of Chen et al. (2017), such as glasses."""

    kind: Literal["image"] = "image"

    is_opaque: ClassVar[bool] = False

    path: PathLike
    """A picture with transparency, such as a PNG; it is stretched to a square."""

    size: int = Field(default=8, ge=1)
    """Side of the square in pixels."""

    source: ClassVar[str] = "Chen et al., Targeted backdoor attacks on deep learning, 2017 (arXiv 1712.05526)"

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        try:
            read_with_opacity(self.path)
        except InputError as error:
            yield Fault("path", str(error))
        yield from super()._check(info)

    def _picture(self, info: DataInfo) -> Picture:
        picture = read_with_opacity(self.path).convert("LA" if info.channels == 1 else "RGBA")
        bands = resized(picture, self.size, self.size)
        return Picture(bands[:-1], bands[-1])
