"""What every auditor shows of the same image, without and with the trigger."""

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from falsewitness.core.errors import InputError
from falsewitness.report._drawing import write_png
from falsewitness.report._gallery import scale_of
from falsewitness.report._run import Run, View
from falsewitness.report._side_by_side import first_family
from falsewitness.report._text import without_common_start
from falsewitness.report._tile_axes import draw_image, label_row, overlay_map, tile_grid

_MOST_AUDITORS_ABREAST = 9

_VIEWS: tuple[tuple[View, str], ...] = (("clean", "without trigger"), ("triggered", "with trigger"))


def auditors_figure(runs: Sequence[Run], out: Path) -> Path:
    """Draw the first shared image, without and with the trigger, and the attacked model's map of it by every auditor.

    Two rows a run; a column for the image with its prediction and one for every auditor that all runs have. Many
    auditors stand in several blocks, one below the other.

    Args:
        runs: Finished attacks on the same data with the same clean model; others are left out.
        out: The PNG.

    Returns:
        ``out``.

    Raises:
        InputError: If no run has shared images with maps, or runs have no auditor in common.
        RunFailedError: If the picture cannot be written.
    """
    family = first_family(runs)
    if family is None:
        raise InputError(
            "a picture of auditors needs a finished attack whose gallery holds shared images with maps, got none"
        )
    galleries = [example.gallery for example in family.examples]
    auditors = [name for name in galleries[0].auditors if all(name in gallery.auditors for gallery in galleries)]
    if not auditors:
        raise InputError("a picture of auditors needs runs with an auditor in common, got none; evaluate them alike")
    scales = {auditor: scale_of(auditor, family.examples) for auditor in auditors}
    names = without_common_start([example.title for example in family.examples])
    lines = [
        (example, f"{name}\n{words}", view)
        for example, name in zip(family.examples, names, strict=True)
        for view, words in _VIEWS
    ]
    width = math.ceil(len(auditors) / math.ceil(len(auditors) / _MOST_AUDITORS_ABREAST))
    blocks = [auditors[start : start + width] for start in range(0, len(auditors), width)]
    figure, grid = tile_grid([["image", *block] for block in blocks], len(lines))
    for (block, (example, label, view)), (first, *rest) in zip(product(blocks, lines), grid, strict=True):
        row = family.row(example, family.index[0])
        draw_image(first, example, row, view, "attacked")
        label_row(first, label)
        for axes, auditor in zip(rest, block, strict=True):
            overlay_map(axes, example, row, (auditor, "attacked", view), scales[auditor])
    return write_png(figure, out)
