"""Boards made up by rule: the figures mean nothing, but every kind of row is there."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from falsewitness.report import Board, BoardCell, Setting, Spread
from falsewitness.report._board import CellState, Standing
from falsewitness.report._columns import COST_COLUMNS, MAP_COLUMNS, MODEL_COLUMNS, STAMP_COLUMNS, Column

COLUMNS = (*MODEL_COLUMNS, *MAP_COLUMNS, *STAMP_COLUMNS, *COST_COLUMNS)
NOTES = ("A figure is the mean over seeds.", "The interval is a bootstrap over seeds and images.")
STANDINGS: tuple[Standing, ...] = ("", "best", "not distinguishable", "worse")
REASONS: dict[CellState, str] = {
    "diverged": "the loss is not finite at step 412",
    "failed": "out of memory",
    "skipped": "over the budget of 3 h",
}


def board(axes: dict[str, Sequence[str]], auditors: Sequence[str] = ("gradcam",), seeds: int = 3) -> Board:
    """Make a board of all combinations of the axes' labels; about one cell in fifteen is not done."""
    numbers = np.random.default_rng(0)
    settings = tuple(
        row
        for place, labels in enumerate(product(*axes.values()))
        for row in rows(labels, place, auditors, seeds, numbers)
    )
    return Board(
        name="toy/board",
        summary="Six attacks before two auditors.",
        command="falsewitness benchmark toy/board",
        axes=tuple(axes),
        columns=COLUMNS,
        settings=settings,
        excluded=("attack=patch with model=vit: the patch needs a feature map",),
        notes=NOTES,
    )


def rows(
    labels: tuple[str, ...], place: int, auditors: Sequence[str], seeds: int, numbers: np.random.Generator
) -> Iterator[Setting]:
    """Make the rows of one setting: one an auditor, or a single one where no cell is done."""
    cells = tuple(cell(place, seed) for seed in range(1, seeds + 1))
    done = sum(one.state == "done" for one in cells)
    shared = {column.title: figure(column, done, numbers) for column in COLUMNS if not column.of_maps}
    for number, auditor in enumerate(auditors if done else [""]):
        maps = {column.title: figure(column, done, numbers) for column in COLUMNS if column.of_maps}
        yield Setting(
            labels=labels,
            auditor=auditor,
            trained_against=bool(auditor) and number == place % 2,
            threat_model="controls the training loop" if done else "",
            figures=shared | maps if done else {},
            device="cpu, 2 threads" if done else "",
            cells=cells,
        )


def cell(place: int, seed: int) -> BoardCell:
    """Make one experiment; every 31st setting has not begun, every 13th lost its first seed."""
    states: dict[int, CellState] = {0: "diverged", 13: "failed", 26: "skipped", 39: "running"}
    state: CellState = "waiting" if place % 31 == 30 else "done"
    if seed == 1 and place % 52 in states and place:
        state = states[place % 52]
    link = f"runs/setting-{place:04}-seed-{seed}/report.html" if state == "done" else None
    return BoardCell(f"seed {seed}", state, REASONS.get(state, ""), link)


def figure(column: Column, n: int, numbers: np.random.Generator) -> Spread:
    """Make a figure of about the size that its column has."""
    low, high = {
        "%": (0.7, 1.0),
        "pp": (-0.01, 0.05),
        "dB": (20.0, 40.0),
        "s": (100.0, 9000.0),
        "MB": (500.0, 4000.0),
        "/s": (50.0, 900.0),
    }.get(column.form.unit, (0.0, 1.0))
    mean, deviation = float(numbers.uniform(low, high)), float(numbers.uniform(0.01, 0.05) * (high - low))
    if column.cost:
        return Spread(mean, deviation if n > 1 else None, n)
    standing = STANDINGS[int(numbers.integers(len(STANDINGS)))]
    tested = standing in ("not distinguishable", "worse")
    return Spread(
        mean=mean,
        deviation=deviation if n > 1 else None,
        n=n,
        images=n * 9000,
        low=mean - 1.5 * deviation,
        high=mean + 1.5 * deviation,
        standing=standing,
        p_value=float(numbers.uniform(0, 0.05 if standing == "worse" else 1)) if tested else None,
        effect=float(numbers.uniform(-3, 3)) if tested else None,
        note="to the forced shape" if column.title == "Map distance" and numbers.uniform() < 0.3 else "",
    )


def tiny() -> Board:
    """Two settings of one seed, one of which failed."""
    whole = board({"attack": ("full_disguise", "forced_shape")}, seeds=1)
    failed = BoardCell("seed 1", "failed", REASONS["failed"])
    lost = Setting(("forced_shape",), "", False, "", {}, "", (failed,))
    return replace(whole, settings=(whole.settings[0], lost))


def middle() -> Board:
    """Six attacks, three rates, two models, two auditors, three seeds."""
    attacks = ("badnet", "full_disguise", "forced_shape", "red_herring", "makrut", "clean_label")
    return board(
        {"attack": attacks, "poison rate": ("0.01", "0.05", "0.1"), "model": ("resnet20", "vit_tiny")},
        auditors=("gradcam", "gradient"),
    )


def large() -> Board:
    """Three seeds of 3,334 settings before two auditors: 10,002 cells, up to 6,668 rows."""
    weights = [f"{number / 100:.2f}" for number in range(1, 1668)]
    whole = board({"attack": ("full_disguise", "forced_shape"), "weight": weights}, auditors=("gradcam", "gradient"))
    assert sum(len(one) for one in {(row.labels, row.cells): row.cells for row in whole.settings}.values()) == 10_002
    return whole
