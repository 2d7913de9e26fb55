"""Curves of a training, drawn as SVG that takes the page's own ink."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from falsewitness.report._drawing import INK, drawable
from falsewitness.report._run import Run

# Okabe and Ito's colours without the yellow, which paper swallows.
# The line styles tell the curves apart without colour.
COLOURS = (INK, "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)), (0, (4, 1, 1, 1, 1, 1)))

MOST_POINTS = 240
"""More steps than this are averaged in equal stretches."""

LOG_FROM = 30.0
"""A loss whose largest mean is this many times its smallest is drawn on a logarithmic scale."""


@dataclass(frozen=True)
class Chart:
    """One drawing.

    Attributes:
        title: What it shows.
        svg: The drawing, to stand in the page as it is.
        note: What the reader must know to read it.
    """

    title: str
    svg: str
    note: str


def charts(run: Run, prefix: str) -> tuple[Chart, ...]:
    """Draw the loss with its terms over the steps, and what was validated after every epoch.

    Args:
        run: The run.
        prefix: What makes names inside the drawings unique on the page.
    """
    drawn = (_loss_chart(run, f"{prefix}-loss"), _validation_chart(run, f"{prefix}-validation"))
    return tuple(chart for chart in drawn if chart)


def _loss_chart(run: Run, prefix: str) -> Chart | None:
    if not run.steps:
        return None
    steps = np.array([step.step for step in run.steps])
    names = list(dict.fromkeys(name for step in run.steps for name in step.terms))
    series = {"loss": np.array([step.loss for step in run.steps])}
    if len(names) > 1:
        series |= {name: np.array([step.terms.get(name, np.nan) for step in run.steps]) for name in names}
    stretch = -(-len(steps) // MOST_POINTS)
    places, means = (
        _averaged(steps, stretch),
        {name: _averaged(values, stretch) for name, values in series.items()},
    )
    figure, axes = _axes("step")
    _plot(axes, places, means)
    if _spans_decades(means):
        axes.set_yscale("log")
    notes = [f"Each point is the mean of {stretch} steps." if stretch > 1 else "", _broken(run)]
    return Chart("Loss and its terms", _svg(figure, prefix), " ".join(filter(None, notes)))


def _averaged(values: NDArray[np.generic], stretch: int) -> NDArray[np.float64]:
    edges = np.arange(0, len(values), stretch)
    counts = np.diff(np.append(edges, len(values)))
    return np.asarray(np.add.reduceat(values.astype(np.float64), edges) / counts)


def _spans_decades(series: Mapping[str, NDArray[np.float64]]) -> bool:
    values = np.concatenate(list(series.values()))
    values = values[np.isfinite(values)]
    return bool(len(values)) and bool(values.min() > 0) and bool(values.max() >= LOG_FROM * values.min())


def _broken(run: Run) -> str:
    broken = next((step.step for step in run.steps if not np.isfinite(step.loss)), None)
    return "" if broken is None else f"The loss stopped being a finite number at step {broken}."


def _validation_chart(run: Run, prefix: str) -> Chart | None:
    names = list(dict.fromkeys(name for point in run.validations for name in point.values))
    series = {
        name: np.array([_or_nan(point.values.get(name)) for point in run.validations], dtype=np.float64)
        for name in names
    }
    series = {name: values for name, values in series.items() if np.isfinite(values).any()}
    if not series:
        return None
    figure, axes = _axes("step")
    _plot(axes, np.array([point.step for point in run.validations]), series, marker="o")
    if all(np.nanmin(values) >= 0 and np.nanmax(values) <= 1 for values in series.values()):
        axes.set_ylim(-0.03, 1.03)
    return Chart("Validation", _svg(figure, prefix), "Measured on the validation split after every epoch.")


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _axes(x_title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.0, 3.1), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, labelsize=11)
    axes.set_xlabel(x_title, color=INK, fontsize=11)
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.8)
    return figure, axes


def _plot(axes: Axes, places: NDArray[np.generic], series: Mapping[str, NDArray[np.float64]], marker: str = "") -> None:
    for place, (name, values) in enumerate(series.items()):
        axes.plot(
            places,
            np.where(np.isfinite(values), values, np.nan),
            color=COLOURS[place % len(COLOURS)],
            linestyle=STYLES[place % len(STYLES)],
            linewidth=1.8,
            marker=marker,
            markersize=4,
            label=drawable(name.replace("_", " ")),
        )
    legend = axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        frameon=False,
        fontsize=11,
        labelcolor=INK,
        handlelength=2.6,
        columnspacing=1.4,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


_NAMES: Sequence[tuple[str, str]] = (
    (r'\bid="', 'id="{prefix}-'),
    (r'href="#', 'href="#{prefix}-'),
    (r"url\(#", "url(#{prefix}-"),
)


def _svg(figure: Figure, prefix: str) -> str:
    """Return the drawing without what only a file of its own needs, its names told apart by a prefix."""
    buffer = io.StringIO()
    # The names of clip paths are drawn by chance otherwise, and the same runs would not give the same page.
    with matplotlib.rc_context({"svg.hashsalt": prefix, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawing = buffer.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", drawing, flags=re.DOTALL)
    for pattern, replacement in _NAMES:
        drawing = re.sub(pattern, replacement.format(prefix=prefix), drawing)
    return drawing.replace(INK, "currentColor").strip()
