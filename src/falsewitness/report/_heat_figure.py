"""A benchmark as one picture: which auditor's maps give which attack away."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from falsewitness.report._board import Board, Setting
from falsewitness.report._columns import MAP_COLUMNS, Column
from falsewitness.report._drawing import INK, drawable, write_png

MOST_ROWS, MOST_COLUMNS = 60, 24
"""More than that nobody could read; the page of the benchmark has them all."""

_FIELD_WIDTH, _FIELD_HEIGHT = 0.62, 0.3
_SIGNS_AN_INCH = 13
_TEXT: Mapping[str, Any] = {"color": INK, "parse_math": False}
_DARK = 0.6
"""From this share of the scale on, writing is white."""

_LEGEND = (
    "Means over seeds. The darker a field, the further from what the attacker wants; outlined: the auditor that the "
    "attack was trained against."
)
_NOTHING = "No setting has a figure of maps yet."


def heat_figure(board: Board, out: Path) -> Path:
    """Draw the figures of maps of a benchmark, a panel each: settings beside auditors, whichever are more downwards.

    Args:
        board: The benchmark. Of more than 60 lines or 24 columns the first are drawn, and the picture says so.
        out: The PNG.

    Returns:
        ``out``.

    Raises:
        RunFailedError: If the picture cannot be written.
    """
    return write_png(drawn(board), out)


def drawn(board: Board) -> Figure:
    """Return the same picture before it is written."""
    found = {(_name(setting), setting.auditor): setting for setting in board.settings if setting.auditor}
    settings, auditors = (list(dict.fromkeys(names)) for names in zip(*found, strict=True)) if found else ([], [])
    is_turned = len(settings) > len(auditors)
    all_down, all_across = (settings, auditors) if is_turned else (auditors, settings)
    down, across = all_down[:MOST_ROWS], all_across[:MOST_COLUMNS]
    fields = [[found.get((one, other) if is_turned else (other, one)) for other in across] for one in down]
    columns = [column for column in MAP_COLUMNS if column in board.columns and found]
    width, height = _inches(down, across, len(columns))
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    figure.suptitle(drawable(board.name), fontsize=12, **_TEXT)
    legend = _legend(len(all_down) - len(down), len(all_across) - len(across)) if columns else _NOTHING
    figure.supxlabel(fill(legend, int(_SIGNS_AN_INCH * width)), fontsize=8, **_TEXT)
    if not columns:
        return figure
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, columns, strict=True):
        _draw(axes, column, fields)
        axes.set_xticks(range(len(across)), [drawable(name) for name in across], rotation=90, **_TEXT)
    panels[0].set_yticks(range(len(down)), [drawable(name) for name in down], **_TEXT)
    return figure


def _name(setting: Setting) -> str:
    return ", ".join(setting.labels)


def _inches(down: Sequence[str], across: Sequence[str], panels: int) -> tuple[float, float]:
    """Return width and height: room for the fields, and for the names at their left and below."""
    beside, below = (0.085 * max((len(name) for name in names), default=0) for names in (down, across))
    return max(7.0, beside + panels * (0.3 + _FIELD_WIDTH * len(across))), 1.4 + below + _FIELD_HEIGHT * len(down)


def _legend(rows: int, columns: int) -> str:
    cut = [f"{count} more {what}" for count, what in ((rows, "lines"), (columns, "columns")) if count]
    return _LEGEND + (f" The page of the benchmark has {' and '.join(cut)}." if cut else "")


def _draw(axes: Axes, column: Column, fields: Sequence[Sequence[Setting | None]]) -> None:
    """Draw one figure of every field: colour, number, and what it was trained against."""
    means = np.array([[_mean(setting, column) for setting in line] for line in fields])
    shade = _shade(means, column)
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_title(column.title.replace(" ", "\n", 1), fontsize=9, **_TEXT)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    axes.spines[:].set_visible(False)
    for (y, x), mean in np.ndenumerate(means):
        colour = "white" if shade[y, x] > _DARK else INK
        axes.text(x, y, column.form(mean), ha="center", va="center", fontsize=7, color=colour)
        setting = fields[y][x]
        if setting is not None and setting.trained_against:
            axes.add_patch(Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, fill=False, edgecolor="#c2410c", linewidth=1.5))


def _mean(setting: Setting | None, column: Column) -> float:
    spread = None if setting is None else setting.figures.get(column.title)
    return np.nan if spread is None else spread.mean


def _shade(means: Float[np.ndarray, "rows columns"], column: Column) -> Float[np.ndarray, "rows columns"]:
    """Return 0 where a figure is what the attacker wants, 1 where it is furthest from it in the panel.

    Lifts range over orders of magnitude, so the logarithm of one plus the distance is shown; of shares it hardly
    differs from the distance itself.
    """
    distance = np.log1p(np.abs(means - column.ideal))
    furthest = np.nanmax(distance, initial=0.0)
    return distance / furthest if furthest > 0 else distance
