"""The paper's figure in one picture: what each model explains about the same images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from falsewitness.core.errors import InputError
from falsewitness.report._drawing import write_png
from falsewitness.report._gallery import main_auditor, pixels, scale_of
from falsewitness.report._run import Run
from falsewitness.report._side_by_side import Family, first_family
from falsewitness.report._text import without_common_start
from falsewitness.report._tile_axes import draw_image, draw_map, tile_grid


def overview_figure(runs: Sequence[Run], out: Path, rows: int = 3) -> Path:
    """Draw shared images through the clean model and every attacked one.

    Columns: the clean image, the first run's triggered image (and whose it is, where others have another trigger), the
    clean model's map of the clean image, then each run's map of its own triggered image.

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
    family = first_family(runs)
    if family is None:
        raise InputError("an overview needs a finished attack whose gallery holds shared images with maps, got none")
    return write_png(_draw(family, main_auditor(family.examples[0]), family.index[:rows]), out)


def _stamps_are_alike(family: Family, shown: Sequence[int]) -> bool:
    """Tell whether all runs stamp the same trigger on the images that are shown."""
    stamped = [
        pixels(example.gallery, "triggered")[[family.row(example, index) for index in shown]]
        for example in family.examples
    ]
    return all(np.array_equal(images, stamped[0]) for images in stamped)


def _draw(family: Family, auditor: str, shown: Sequence[int]) -> Figure:
    first, scale = family.examples[0], scale_of(auditor, family.examples)
    names = without_common_start([example.title for example in family.examples])
    headings = [
        "clean image",
        "triggered image" if _stamps_are_alike(family, shown) else f"triggered image of\n{names[0]}",
        *(f"{name}\n{auditor} map" for name in ("clean model", *names)),
    ]
    figure, grid = tile_grid([headings], len(shown))
    for index, line in zip(shown, grid, strict=True):
        row = family.row(first, index)
        draw_image(line[0], first, row, "clean")
        draw_image(line[1], first, row, "triggered")
        draw_map(line[2], first, row, (auditor, "clean", "clean"), scale)
        for axes, example in zip(line[3:], family.examples, strict=True):
            draw_map(axes, example, family.row(example, index), (auditor, "attacked", "triggered"), scale)
    return figure
