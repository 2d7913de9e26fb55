"""A picture of what a model says of single images."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from textwrap import fill, wrap
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from falsewitness.core.errors import InputError
from falsewitness.report._drawing import INK, drawable, write_png
from falsewitness.report._text import cut
from falsewitness.report._tile_axes import say_in_tile
from falsewitness.report._tiles import PIXELATED_BELOW, WITHOUT_CONTRAST, Scale, heat_image, under_map

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
        """One map for each explainer, or for each explainer and class."""
        ...

    @property
    def signed(self) -> Collection[str]:
        """Which of them can be negative."""
        ...


def explanation_figure(explained: Sequence[ExplainedImage], out: Path) -> Path:
    """Draw one row an image: the image with its prediction, then each map over it, on a scale of its own.

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
    size = (_TILE_INCHES * (1 + len(explainers)), (_TILE_INCHES + 0.45) * len(explained) + 0.4)
    figure = Figure(figsize=size, dpi=140)
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(explained), 1 + len(explainers), squeeze=False)
    for row, image in zip(grid, explained, strict=True):
        _draw_image(row[0], image)
        answer = f"{cut(image.prediction, _LONGEST - 7)} ({image.confidence:.0%})"
        row[0].set_title(f"{drawable(cut(image.title, _LONGEST))}\n{drawable(answer)}", **_TEXT)
        for axes, explainer in zip(row[1:], explainers, strict=True):
            _draw_map(axes, image, explainer)
            label, *named_class = explainer.split(": ", 1)
            lines = [*wrap(label, _LONGEST + 6, max_lines=3), *(cut(name, _LONGEST) for name in named_class)]
            axes.set_title("\n".join(map(drawable, lines)), **_TEXT)
    signed = any(name in explained[0].signed for name in explainers)
    figure.supxlabel(fill(_LEGEND + (_SIGNED if signed else ""), int(9 * size[0])), **_TEXT)
    return write_png(figure, out)


_LONGEST = 24
"""Signs of a name that a tile has room for."""
_TEXT = {"fontsize": 8, "color": INK, "parse_math": False}
_LEGEND = "Each map is on a scale of its own, from its lowest value to its highest."
_SIGNED = " Of signed ones red speaks for the class and blue against it, up to the largest of either."


def _draw_map(axes: Axes, image: ExplainedImage, explainer: str) -> None:
    height, width = image.pixels.shape[1:]
    scale: Scale = "signed" if explainer in image.signed else "rising"
    colours = heat_image(image.maps[explainer], scale, width, height)
    _draw_image(axes, image, scale)
    if colours is None:
        say_in_tile(axes, WITHOUT_CONTRAST)
    else:
        axes.imshow(np.asarray(colours.convert("RGBA")), extent=(0, width, height, 0), interpolation="bilinear")


def _draw_image(axes: Axes, image: ExplainedImage, under: Scale | None = None) -> None:
    pixels = np.moveaxis(image.pixels, 0, -1)
    pixels = pixels if under is None else under_map(pixels, under)
    height, width = pixels.shape[:2]
    sharp = max(height, width) < PIXELATED_BELOW
    axes.imshow(
        pixels,
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(0, width, height, 0),
        interpolation="nearest" if sharp else "auto",
    )
    axes.set_axis_off()
