"""What explainers share that ask a model about images of which whole segments are hidden."""

from abc import abstractmethod
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, final

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from falsewitness.core import DataInfo, Fault, InputError
from falsewitness.core.shapes import Images, Rows
from falsewitness.explainers._queries import Altered, AnswersOnly, Questions, ScoreMaps
from falsewitness.models import Classifier

Segments = Int[Tensor, "batch height width"]
"""The number of the segment that each pixel belongs to; an image's are numbered from 0 without gaps."""

Values = Float[Tensor, "batch wanted players"]
"""What each segment of each image is worth to each class of interest."""

Present = Bool[Tensor, "queries players"]
"""Which segments are seen in an altered copy."""


class SegmentExplainer(AnswersOnly):
    """An explainer that gives each segment of an image a value, at all of its pixels.

    A new one overrides :meth:`_values`.
    """

    grid: Annotated[int, Field(ge=1, le=64)] = 8
    """Segments along each side, of equal size to within a pixel; where `superpixels` is null."""

    superpixels: Annotated[int, Field(ge=2, le=4096)] | None = None
    """About how many superpixels an image is cut into instead, along its own contours; needs scikit-image."""

    @abstractmethod
    def _values(self, questions: Questions, segments: Segments, players: int) -> Values:
        """Return the worth of each segment of images that all have as many segments as there are players.

        Random numbers must depend on nothing but the number of players: then a map does not depend on the batch.
        """

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self._too_fine_for(info.height, info.width):
            yield Fault("grid", self._fault_of_grid(info.height, info.width))

    def _check_model(self, model: Classifier) -> None:
        if self.superpixels is not None and find_spec("skimage") is None:
            raise InputError(
                f"explainer '{self.kind}' with superpixels needs scikit-image, which is not installed: "
                "pip install scikit-image, or leave superpixels out for a grid"
            )

    def _too_fine_for(self, height: int, width: int) -> bool:
        return self.superpixels is None and self.grid > min(height, width)

    def _fault_of_grid(self, height: int, width: int) -> str:
        return f"expected at most one segment a pixel for images of {height}x{width} pixels, got {self.grid} a side"

    def _segments_of(self, images: Images) -> Segments:
        if self.superpixels is not None:
            return superpixels(images, self.superpixels)
        height, width = images.shape[2:]
        if self._too_fine_for(height, width):
            raise InputError(f"explainer '{self.kind}': {self._fault_of_grid(height, width)}; choose a coarser grid")
        return grid(images, self.grid)

    @final
    def _maps(self, questions: Questions) -> ScoreMaps:
        segments = self._segments_of(questions.images)
        maps = questions.scores.new_empty(*questions.scores.shape, *segments.shape[1:])
        for players, rows in alike(segments):
            values = self._values(questions.about(rows), segments[rows], players)
            maps[rows] = spread(values.to(maps), segments[rows])
        return maps


def grid(images: Images, side: int) -> Segments:
    """Cut each image into ``side x side`` segments, numbered in rows."""
    height, width = images.shape[2:]
    down, across = (torch.arange(pixels, device=images.device) * side // pixels for pixels in (height, width))
    return (down[:, None] * side + across).expand(len(images), -1, -1)


def superpixels(images: Images, count: int) -> Segments:
    """Cut each image into superpixels (SLIC, Achanta et al. 2012), of which an image may have more or fewer than asked.

    It is the variant without a parameter for compactness, which adapts it to each superpixel's contrast: with a fixed
    one, noise and other images without contours end as a single segment.
    """
    from skimage.segmentation import slic

    coloured = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
    pixels = coloured.permute(0, 2, 3, 1).cpu().double().numpy()
    found = [slic(image, n_segments=count, slic_zero=True, start_label=0, channel_axis=-1) for image in pixels]
    return torch.stack([torch.from_numpy(labels) for labels in found]).long().to(images.device)


def alike(segments: Segments) -> Iterator[tuple[int, Rows]]:
    """Yield each number of segments that occurs, with the images that have as many."""
    counts = segments.flatten(1).amax(1) + 1
    for players in counts.unique().tolist():
        yield players, (counts == players).nonzero()[:, 0]


def partly_hidden(images: Images, segments: Segments, present: Present, absent: Tensor) -> Altered:
    """Return copies of the images in which only some segments are seen.

    Args:
        images: What is seen where a segment is present.
        segments: Of each image.
        present: For each copy; the same for all images.
        absent: What is seen elsewhere: an image, one for each image, or a number.
    """
    return torch.where(present[:, segments][:, :, None], images, absent)


def spread(values: Values, segments: Segments) -> ScoreMaps:
    """Give every pixel the value of its segment."""
    at = segments.flatten(1)[:, None].expand(-1, values.shape[1], -1)
    maps: ScoreMaps = values.gather(2, at).unflatten(2, segments.shape[1:])
    return maps
