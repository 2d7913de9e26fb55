"""The paper's figure in one picture: what each model explains about the same images."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten, wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from falsewitness.core.errors import InputError
from falsewitness.core.files import replacing
from falsewitness.report._drawing import INK, drawable
from falsewitness.report._gallery import Example, examples, pixels, scale_of
from falsewitness.report._run import Model, Run, View
from falsewitness.report._side_by_side import Family, families
from falsewitness.report._text import titles, whole_percent, without_common_start
from falsewitness.report._tiles import PIXELATED_BELOW, Scale, edges, heat_image

TILE_INCHES = 1.55


def overview_figure(runs: Sequence[Run], out: Path, rows: int = 3) -> Path:
    """Draw shared images through the clean model and every attacked one.

    Columns: the clean image, the first run's triggered image, the clean model's map of the clean image, then
    each run's map of its own triggered image.

    Args:
        runs: Finished attacks on the same data with the same clean model; others are left out.
        out: The PNG.
        rows: How many of the shared images at most.

    Returns:
        ``out``.

    Raises:
        ValueError: If ``rows`` is not positive.
        InputError: If no run has shared images with maps.
        RunFailedError: If the picture cannot be written.
    """
    if rows < 1:
        raise ValueError(f"expected rows >= 1, got {rows}")
    named = [(run, title, "") for run, title in zip(runs, titles(runs), strict=True)]
    shown = [example for example in examples(named) if example.gallery.auditors]
    family = next(iter(families(shown)), None)
    if family is None:
        raise InputError("an overview needs a finished attack whose gallery holds shared images with maps, got none")
    first = family.examples[0]
    main = first.run.result.main_auditor
    auditor = main if main in first.gallery.auditors else first.gallery.auditors[0]
    figure = _draw(family, auditor, family.index[:rows])
    with replacing(out) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
    return out


def _draw(family: Family, auditor: str, shown: Sequence[int]) -> Figure:
    first, scale = family.examples[0], scale_of(auditor, family.examples)
    names = without_common_start([example.title for example in family.examples])
    headings = [
        "clean image",
        "triggered image",
        *(f"{name}\n{auditor} map" for name in ("clean model", *names)),
    ]
    figure = Figure(figsize=(TILE_INCHES * len(headings), (TILE_INCHES + 0.2) * len(shown) + 0.6), dpi=160)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03)
    grid = figure.subplots(len(shown), len(headings), squeeze=False)
    for index, line in zip(shown, grid, strict=True):
        row = family.row(first, index)
        _draw_image(line[0], first, row, "clean")
        _draw_image(line[1], first, row, "triggered")
        _draw_map(line[2], first, row, (auditor, "clean", "clean"), scale)
        for axes, example in zip(line[3:], family.examples, strict=True):
            _draw_map(axes, example, family.row(example, index), (auditor, "attacked", "triggered"), scale)
    for axes, heading in zip(grid[0], headings, strict=True):
        lines = [part for line in heading.split("\n") for part in wrap(drawable(line), 19, break_on_hyphens=True)]
        axes.set_title("\n".join(lines), fontsize=8.5, color=INK, parse_math=False)
    return figure


def _draw_image(axes: Axes, example: Example, row: int, view: View) -> None:
    _show(axes, example, row, view, grey=False)
    _caption(axes, f"true: {example.data.class_names[example.gallery.labels[row]]}")


def _draw_map(axes: Axes, example: Example, row: int, which: tuple[str, Model, View], scale: Scale) -> None:
    _, model, view = which
    _show(axes, example, row, view, grey=True)
    prediction = example.gallery.predictions[model, view]
    name = example.data.class_names[prediction.classes[row]]
    _caption(axes, f"{name} ({whole_percent(float(prediction.confidences[row]))})")
    maps = example.gallery.maps.get(which)
    colours = None if maps is None else heat_image(maps[row], scale, example.data.width, example.data.height)
    if colours is not None:
        axes.imshow(np.asarray(colours.convert("RGBA")), extent=_extent(example), interpolation="bilinear")


def _extent(example: Example) -> tuple[float, float, float, float]:
    return (0, example.data.width, example.data.height, 0)


def _show(axes: Axes, example: Example, row: int, view: View, *, grey: bool) -> None:
    gallery = example.gallery
    image = np.moveaxis(pixels(gallery, view)[row], 0, -1)
    if grey or image.shape[-1] == 1:
        image = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    sharp = max(image.shape[:2]) < PIXELATED_BELOW
    axes.imshow(image, extent=_extent(example), interpolation="nearest" if sharp else "antialiased")
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
        shorten(drawable(text), 24, placeholder="…"),
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=8,
        color=INK,
        parse_math=False,
    )
