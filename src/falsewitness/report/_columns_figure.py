"""The paper's figures 5 to 7: predictions, and a map for every class, without and with the trigger."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage

from falsewitness.core.errors import InputError
from falsewitness.report._drawing import INK, drawable, write_png
from falsewitness.report._gallery import Example, class_name, main_auditor, pixels
from falsewitness.report._run import Model, Run, View
from falsewitness.report._side_by_side import Family, first_family
from falsewitness.report._text import cut, fixed, whole_percent, without_common_start
from falsewitness.report._tiles import COLOURS

_TILE_INCHES, _HEADING_INCHES, _SCALE_INCHES = 0.62, 0.4, 0.45
_LONGEST_NAME = 9
_BRIGHTEST = 99.9
"""Percentile of all absolute values at which the colours end: single pixels must not make all others pale."""


@dataclass(frozen=True)
class _Block:
    """Images under one model of a run, all with the trigger or all without."""

    example: Example
    title: str
    auditor: str
    model: Model
    view: View
    rows: tuple[int, ...]


def columns_figure(runs: Sequence[Run], out: Path, rows: int = 5) -> Path:
    """Draw images with models' predictions and a map for every class, red for it and blue against it.

    First come images without trigger under the first run's model; then the same images with the trigger under the clean
    model, which shows what the stamp does to an honest one, and under each run's. All maps have one colour scale; where
    single pixels go beyond it, its ends are arrows, and it says how far.

    Args:
        runs: Finished attacks on the same data with the same clean model, with an auditor that gives a map for every
            class; others are left out.
        out: The PNG.
        rows: How many images at most.

    Returns:
        ``out``.

    Raises:
        ValueError: If ``rows`` is not positive.
        InputError: If no run has maps for every class.
        RunFailedError: If the picture cannot be written.
    """
    if rows < 1:
        raise ValueError(f"expected rows >= 1, got {rows}")
    family = first_family(runs, "columns")
    if family is None:
        raise InputError(
            "columns need a finished attack with an auditor that gives a map for every class, such as gradient_shap, "
            "got none"
        )
    names = without_common_start([example.title for example in family.examples])
    shared, first = family.index[:rows], family.examples[0]
    blocks = [_block(family, first, names[0], "attacked", "clean", shared)]
    if any(model == "clean" for _, model, _ in first.gallery.columns):
        blocks.append(_block(family, first, "clean model", "clean", "triggered", shared))
    for example, name in zip(family.examples, names, strict=True):
        blocks.append(_block(family, example, name, "attacked", "triggered", shared))
    return write_png(_draw(blocks), out)


def _block(family: Family, example: Example, name: str, model: Model, view: View, shared: Sequence[int]) -> _Block:
    auditors = dict.fromkeys(auditor for auditor, model, _ in example.gallery.columns if model == "attacked")
    main = main_auditor(example)
    auditor = main if main in auditors else next(iter(auditors))
    return _Block(example, name, auditor, model, view, tuple(family.row(example, index) for index in shared))


def _maps(block: _Block) -> Float[np.ndarray, "rows classes map_height map_width"]:
    found: Float[np.ndarray, "rows classes map_height map_width"] = block.example.gallery.columns[
        block.auditor, block.model, block.view
    ][list(block.rows)]
    return found


def _draw(blocks: Sequence[_Block]) -> Figure:
    classes = len(blocks[0].example.data.class_names)
    heights = [_TILE_INCHES * len(block.rows) + _HEADING_INCHES for block in blocks]
    sizes = np.concatenate([np.abs(_maps(block)).ravel() for block in blocks])
    largest, beyond = float(np.percentile(sizes, _BRIGHTEST)), float(sizes.max())
    figure = Figure(figsize=(_TILE_INCHES * (classes + 2.2), sum(heights) + _SCALE_INCHES), dpi=160)
    figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01)
    ratios = [*heights, _SCALE_INCHES]
    parts: list[SubFigure] = list(figure.subfigures(len(ratios), 1, height_ratios=ratios, squeeze=False)[:, 0])
    for part, block in zip(parts[:-1], blocks, strict=True):
        picture = _draw_block(part, block, classes, largest)
    scale = parts[-1].subplots()
    figure.colorbar(picture, cax=scale, orientation="horizontal", extend="both" if beyond > largest else "neither")
    scale.tick_params(labelsize=6)
    cut = f"; single pixels reach \u00b1{fixed(beyond, 2)}" if beyond > largest else ""
    scale.set_xlabel(f"against the class  \u2190  logit  \u2192  for it{cut}", fontsize=7, color=INK)
    return figure


def _draw_block(part: SubFigure, block: _Block, classes: int, largest: float) -> AxesImage:
    """Draw a run's images; returns one of the maps, for the scale of colours."""
    what = "with trigger" if block.view == "triggered" else "without trigger"
    text = f"{drawable(block.title)}, {what}: {drawable(block.auditor)}"
    part.suptitle(text, x=0.01, ha="left", fontsize=8, color=INK, weight="bold", parse_math=False)
    grid = part.subplots(len(block.rows), classes + 1, squeeze=False)
    for number, axes in enumerate(grid[0][1:]):
        axes.set_title(
            drawable(cut(class_name(block.example, number), _LONGEST_NAME)),
            fontsize=7,
            color=INK,
            pad=2,
            parse_math=False,
        )
    prediction = block.example.gallery.predictions[block.model, block.view]
    for row, maps, tiles in zip(block.rows, _maps(block), grid, strict=True):
        name = class_name(block.example, int(prediction.classes[row]))
        tiles[0].imshow(_grey(block, row), cmap="gray", vmin=0, vmax=255)
        _frame(tiles[0])
        answer = f"{drawable(cut(name, _LONGEST_NAME))}\n{whole_percent(float(prediction.confidences[row]))}"
        tiles[0].set_ylabel(answer, fontsize=7, color=INK, rotation=0, ha="right", va="center", parse_math=False)
        for axes, saliency in zip(tiles[1:], maps, strict=True):
            picture = _draw_map(axes, block, row, saliency, largest)
    return picture


def _draw_map(
    axes: Axes, block: _Block, row: int, saliency: Float[np.ndarray, "map_height map_width"], largest: float
) -> AxesImage:
    height, width = block.example.data.height, block.example.data.width
    extent = (0, width, height, 0)
    axes.imshow(_grey(block, row), cmap="gray_r", vmin=0, vmax=255, alpha=0.3, extent=extent)
    shares = np.clip(np.abs(saliency) / max(largest, np.finfo(float).tiny), 0, 1)
    _frame(axes)
    return axes.imshow(
        saliency, cmap=COLOURS["signed"], vmin=-largest, vmax=largest, alpha=np.sqrt(shares), extent=extent
    )


def _frame(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color="#c8ccd0", linewidth=0.5)


def _grey(block: _Block, row: int) -> Float[np.ndarray, "height width"]:
    grey: Float[np.ndarray, "height width"] = pixels(block.example.gallery, block.view)[row].astype(float).mean(0)
    return grey
