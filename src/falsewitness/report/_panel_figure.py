"""The paper's figures 1 to 4: an image without and with the trigger, and the attacked model's map of each."""

from collections.abc import Sequence
from pathlib import Path

from falsewitness.core.errors import InputError
from falsewitness.report._drawing import write_png
from falsewitness.report._gallery import Example, main_auditor, scale_of, titled_examples
from falsewitness.report._run import Run
from falsewitness.report._text import without_common_start
from falsewitness.report._tile_axes import draw_image, draw_map, label_row, tile_grid


def panel_figure(runs: Sequence[Run], out: Path, rows: int = 1) -> Path:
    """Draw images that each attack succeeds on, with the attacked model's predictions and maps.

    Columns, as in the paper's figures 1 to 4: (a) the clean and (b) the triggered image, the maps of (c) the clean and
    (d) the triggered one.

    Args:
        runs: Finished attacks; others are left out.
        out: The PNG.
        rows: How many images of each run at most, in the order that the evaluation's rule gives them.

    Returns:
        ``out``.

    Raises:
        ValueError: If ``rows`` is not positive.
        InputError: If no run has an image that its attack succeeds on, with maps.
        RunFailedError: If the picture cannot be written.
    """
    if rows < 1:
        raise ValueError(f"expected rows >= 1, got {rows}")
    shown = _shown(runs)
    if not shown:
        raise InputError("panels need a finished attack whose gallery holds images that it succeeds on, got none")
    lines = [
        (example, name, int(row))
        for example, name in zip(shown, without_common_start([example.title for example in shown]), strict=True)
        for row in example.gallery.rows("success")[:rows]
    ]
    headings = ["(a) clean image", "(b) triggered image", "(c) map of the clean", "(d) map of the triggered"]
    figure, grid = tile_grid([headings], len(lines))
    for (example, name, row), (a, b, c, d) in zip(lines, grid, strict=True):
        auditor = main_auditor(example)
        scale = scale_of(auditor, shown)
        draw_image(a, example, row, "clean", "attacked")
        draw_image(b, example, row, "triggered", "attacked")
        draw_map(c, example, row, (auditor, "attacked", "clean"), scale)
        draw_map(d, example, row, (auditor, "attacked", "triggered"), scale)
        label_row(a, f"{name}\n{auditor}")
    return write_png(figure, out)


def count_panels(runs: Sequence[Run]) -> int:
    """Return how many attacks :func:`panel_figure` draws: those with images that they succeed on."""
    return len(_shown(runs))


def _shown(runs: Sequence[Run]) -> list[Example]:
    return [
        example
        for example in titled_examples(runs)
        if example.gallery.auditors and len(example.gallery.rows("success"))
    ]
