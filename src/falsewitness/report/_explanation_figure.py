"""A picture of what a model says of single images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from falsewitness.core.errors import InputError
from falsewitness.core.files import replacing
from falsewitness.report._drawing import INK, drawable
from falsewitness.report._tiles import PIXELATED_BELOW, Scale, heat_image

_TILE_INCHES = 2.2


class ExplainedImage(Protocol):
    """What the picture needs to know of an image."""

    @property
    def title(self) -> str:
        """What to call it."""
        ...

    @property
    def pixels(self) -> UInt8[np.ndarray, "channels height width"]:
        """As the model saw it."""
        ...

    @property
    def prediction(self) -> str:
        """Name of the predicted class."""
        ...

    @property
    def confidence(self) -> float:
        """Its softmax share."""
        ...

    @property
    def maps(self) -> Mapping[str, Float[np.ndarray, "map_height map_width"]]:
        """One map for each explainer."""
        ...


def explanation_figure(explained: Sequence[ExplainedImage], out: Path) -> Path:
    """Draw one row an image: the image with its prediction, then each explainer's map over it.

    Args:
        explained: At least one image, all with maps by the same explainers.
        out: The PNG.

    Raises:
        InputError: If there is no image.
        RunFailedError: If the picture cannot be written.
    """
    if not explained:
        raise InputError("expected at least one image to draw, got none")
    explainers = list(explained[0].maps)
    size = (_TILE_INCHES * (1 + len(explainers)), (_TILE_INCHES + 0.45) * len(explained))
    figure = Figure(figsize=size, dpi=140)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(explained), 1 + len(explainers), squeeze=False)
    for row, image in zip(grid, explained, strict=True):
        _draw(row[0], image, None)
        row[0].set_title(f"{drawable(image.title)}\n{drawable(image.prediction)} ({image.confidence:.0%})", **_TEXT)
        for axes, explainer in zip(row[1:], explainers, strict=True):
            _draw(axes, image, image.maps[explainer])
            axes.set_title(drawable(explainer), **_TEXT)
    with replacing(out) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
    return out


_TEXT = {"fontsize": 8, "color": INK, "parse_math": False}


def _draw(axes: Axes, image: ExplainedImage, saliency: Float[np.ndarray, "map_height map_width"] | None) -> None:
    pixels = np.moveaxis(image.pixels, 0, -1)
    if saliency is not None or pixels.shape[-1] == 1:
        pixels = np.repeat(pixels.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    height, width = pixels.shape[:2]
    extent = (0, width, height, 0)
    axes.imshow(pixels, extent=extent, interpolation="nearest" if max(height, width) < PIXELATED_BELOW else "auto")
    axes.set_axis_off()
    if saliency is not None:
        scale: Scale = "signed" if saliency.min() < 0 else "rising"
        colours = heat_image(saliency, scale, width, height)
        if colours is not None:
            axes.imshow(np.asarray(colours.convert("RGBA")), extent=extent, interpolation="bilinear")
