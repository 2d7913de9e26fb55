"""The heat map of a benchmark: settings beside auditors, a panel a figure."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from tests.unit.report import boards

from falsewitness.report import Board, Setting, Spread, heat_figure
from falsewitness.report._columns import MAP_COLUMNS
from falsewitness.report._heat_figure import MOST_ROWS, drawn


def board_of(title: str, values: dict[tuple[str, str], float], trained_against: str = "") -> Board:
    """A board of one figure, by setting and auditor."""
    settings = tuple(
        Setting((name,), auditor, auditor == trained_against, "", {title: Spread(value, None, 1)}, "", ())
        for (name, auditor), value in values.items()
    )
    columns = tuple(column for column in MAP_COLUMNS if column.title == title)
    return Board("toy", "", "", ("attack",), columns, settings)


def panel(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def shades(figure: Figure) -> list[list[float]]:
    shown = panel(figure).images[0].get_array()
    assert shown is not None
    return [[float(shade) for shade in line] for line in np.ma.filled(shown, np.nan)]


def numbers(figure: Figure) -> list[str]:
    return [text.get_text() for text in panel(figure).texts]


def words(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


def test_a_field_is_dark_where_the_maps_give_the_attack_away() -> None:
    found = drawn(
        board_of("Detector AUROC", {("badnets", "lime"): 1.0, ("disguise", "lime"): 0.5, ("fooling", "lime"): 0.25})
    )
    assert numbers(found) == ["1.00", "0.50", "0.25"]
    assert shades(found) == [[1.0], [0.0], [pytest.approx(np.log(1.25) / np.log(1.5))]]


def test_there_are_more_lines_than_columns() -> None:
    found = drawn(board_of("Excess lift", {("badnets", "lime"): 3.0, ("badnets", "rise"): 1.0}))
    axes = panel(found)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lime", "rise"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["badnets"]


def test_what_was_not_measured_stays_white() -> None:
    found = drawn(board_of("Excess lift", {("a", "lime"): 3.0, ("a", "rise"): 1.0, ("b", "rise"): 2.0}))
    assert numbers(found) == ["3.00", "\u2013", "1.00", "2.00"]
    assert np.isnan(shades(found)[0][1])


def test_the_auditor_that_an_attack_was_trained_against_is_outlined() -> None:
    found = drawn(board_of("Excess lift", {("a", "lime"): 3.0, ("a", "rise"): 1.0}, trained_against="rise"))
    (outline,) = panel(found).patches
    assert outline.get_extents().ymin < panel(found).transData.transform((0, 1))[1] < outline.get_extents().ymax


def test_a_board_too_large_to_read_is_cut_and_says_so() -> None:
    found = drawn(board_of("Excess lift", {(f"rate {number}", "lime"): 1.0 for number in range(MOST_ROWS + 7)}))
    assert len(shades(found)) == MOST_ROWS
    assert words(found).endswith("The page of the benchmark has 7 more lines.")


def test_there_is_a_panel_for_every_figure_of_maps() -> None:
    assert len(drawn(boards.middle()).axes) == len(MAP_COLUMNS)


def test_a_benchmark_without_figures_says_so(tmp_path: Path) -> None:
    nothing = replace(boards.tiny(), settings=boards.tiny().settings[1:])
    assert words(drawn(nothing)) == "No setting has a figure of maps yet."
    with Image.open(heat_figure(nothing, tmp_path / "heat.png")) as picture:
        assert picture.format == "PNG"


def test_names_are_drawn_without_reading_them(tmp_path: Path) -> None:
    hostile = board_of("Excess lift", {("$\\frac{", "<b>\n\u202e"): 1.0})
    with Image.open(heat_figure(hostile, tmp_path / "heat.png")) as picture:
        assert min(picture.size) > 0
