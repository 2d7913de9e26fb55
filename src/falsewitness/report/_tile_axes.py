"""Single pictures of a gallery, drawn into a figure's axes."""

from collections.abc import Sequence
from textwrap import fill, wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from falsewitness.report._drawing import INK, drawable
from falsewitness.report._gallery import Example, class_name, pixels
from falsewitness.report._run import Model, View
from falsewitness.report._text import cut, whole_percent
from falsewitness.report._tiles import PIXELATED_BELOW, WITHOUT_CONTRAST, Scale, edges, heat_image, under_map

_TILE_INCHES = 1.55
_LONGEST_NAME = 16
"""Signs of a class's name that a tile has room for, beside its share."""


def tile_grid(blocks: Sequence[Sequence[str]], rows: int) -> tuple[Figure, Sequence[Sequence[Axes]]]:
    """Begin a figure of tiles, in blocks one below the other.

    Args:
        blocks: Each block's headings, one a column.
        rows: How many each block has.

    Returns:
        The figure, and its axes by row and column, block after block.
    """
    width = max(map(len, blocks))
    figure = Figure(figsize=(_TILE_INCHES * width, (_TILE_INCHES + 0.2) * rows * len(blocks) + 0.6), dpi=160)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.07)
    grid = figure.subplots(rows * len(blocks), width, squeeze=False)
    for number, headings in enumerate(blocks):
        for axes, heading in zip(grid[number * rows], headings, strict=False):
            _label_column(axes, heading)
        for axes in grid[number * rows : (number + 1) * rows, len(headings) :].flat:
            axes.set_axis_off()
    return figure, [list(line[: len(blocks[row // rows])]) for row, line in enumerate(grid)]


def draw_image(axes: Axes, example: Example, row: int, view: View, answering: Model | None = None) -> None:
    """Draw an image with, under it, what a model predicts; the true class where nobody is asked."""
    _show(axes, example, row, view)
    if answering is None:
        _caption(axes, f"true: {cut(class_name(example, int(example.gallery.labels[row])), _LONGEST_NAME)}")
    else:
        _caption(axes, _answer(example, row, answering, view))


def draw_map(axes: Axes, example: Example, row: int, which: tuple[str, Model, View], scale: Scale) -> None:
    """Draw a map over its image in grey and, under it, what the model predicts.

    Args:
        axes: Where.
        example: The run.
        row: Which of the gallery's images.
        which: The auditor, the model, and whether the image bears the trigger.
        scale: How the auditor's maps are coloured.
    """
    overlay_map(axes, example, row, which, scale)
    _, model, view = which
    if which in example.gallery.maps:
        _caption(axes, _answer(example, row, model, view))


def overlay_map(axes: Axes, example: Example, row: int, which: tuple[str, Model, View], scale: Scale) -> None:
    """Draw a map over its image in grey, likewise but without the prediction; say so where nothing can be drawn."""
    maps = example.gallery.maps.get(which)
    if maps is None:
        axes.set_axis_off()
        say_in_tile(axes, "no map")
        return
    _show(axes, example, row, which[2], scale)
    colours = heat_image(maps[row], scale, example.data.width, example.data.height)
    if colours is None:
        say_in_tile(axes, WITHOUT_CONTRAST)
        return
    axes.imshow(np.asarray(colours.convert("RGBA")), extent=_extent(example), interpolation="bilinear")


def say_in_tile(axes: Axes, text: str) -> None:
    """Write words into the middle of a tile."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2, "alpha": 0.85}
    axes.text(
        0.5, 0.5, fill(text, 12), transform=axes.transAxes, ha="center", va="center", fontsize=8, color=INK, bbox=box
    )


def _label_column(axes: Axes, text: str) -> None:
    """Write lines above a column's first tile."""
    lines = [part for line in text.split("\n") for part in wrap(drawable(line), 20, break_on_hyphens=True)]
    axes.set_title("\n".join(lines), fontsize=8.5, color=INK, parse_math=False)


def label_row(axes: Axes, text: str) -> None:
    """Write lines along the left side of a row's first tile; of longer ones what there is room for."""
    lines = [part for line in text.split("\n") for part in wrap(drawable(line), 22, max_lines=4, placeholder="…")]
    axes.text(
        -0.06,
        0.5,
        "\n".join(lines),
        transform=axes.transAxes,
        rotation="vertical",
        ha="right",
        va="center",
        fontsize=8,
        color=INK,
        parse_math=False,
    )


def _answer(example: Example, row: int, model: Model, view: View) -> str:
    prediction = example.gallery.predictions[model, view]
    name = class_name(example, int(prediction.classes[row]))
    return f"{cut(name, _LONGEST_NAME)} ({whole_percent(float(prediction.confidences[row]))})"


def _extent(example: Example) -> tuple[float, float, float, float]:
    return (0, example.data.width, example.data.height, 0)


def _show(axes: Axes, example: Example, row: int, view: View, under: Scale | None = None) -> None:
    """Draw an image, in grey where a map of this scale will lie over it, and the trigger's edge."""
    gallery = example.gallery
    image = np.moveaxis(pixels(gallery, view)[row], 0, -1)
    image = image if under is None else under_map(image, under)
    sharp = max(image.shape[:2]) < PIXELATED_BELOW
    axes.imshow(
        image,
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=_extent(example),
        interpolation="nearest" if sharp else "antialiased",
    )
    axes.set_axis_off()
    if view == "triggered" and gallery.mask is not None:
        strokes = edges(gallery.mask)
        for colour, width in (("#00212b", 2.4), ("#3fdcff", 1.2)):
            axes.add_collection(
                LineCollection(strokes, colors=colour, linewidths=width, capstyle="projecting", zorder=5, clip_on=False)
            )


def _caption(axes: Axes, text: str) -> None:
    axes.text(
        0.5,
        -0.05,
        drawable(text),
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=8,
        color=INK,
        parse_math=False,
    )
