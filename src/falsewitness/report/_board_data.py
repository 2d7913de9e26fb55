"""A board as data for the script of its page: numbers as numbers, every text, figure and setting once."""

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, get_args
from urllib.parse import quote

from falsewitness.report._board import Board, BoardCell, CellState, Setting, Spread
from falsewitness.report._columns import Column
from falsewitness.report._text import clean_text

_LONGEST_REASON = 80
_DIGITS_OF_SPREADS = 7
_DIGITS_OF_TESTS = 4

Kept = TypeVar("Kept", bound=Hashable)


class _Once(Generic[Kept]):
    """A list that holds everything once, in the order in which it came."""

    def __init__(self, *first: Kept) -> None:
        self._places = {kept: place for place, kept in enumerate(first)}

    def __call__(self, kept: Kept) -> int:
        """Return where something stands in the list; it is added where it is new."""
        return self._places.setdefault(kept, len(self._places))

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._places)


def board_data(board: Board) -> dict[str, object]:
    """Return what the script needs, for JSON.

    A text is given by its place in ``words``, a figure by its place in ``figures``, a setting by its place in
    ``settings``; a list under ``settings`` has one entry a setting, a list under ``rows`` one a row. A figure is the
    list of its attributes in the order of ``Spread``, without the empty ones at its end.
    """
    word, spreads, settings = _Words(), _Once[Spread](), _Once[tuple[tuple[str, ...], tuple[BoardCell, ...]]]()
    rows = board.settings
    main = main_rows(rows)
    columns = [[_place(row.figures.get(column.title), spreads) for row in rows] for column in board.columns]
    in_rows = {
        "setting": [settings((row.labels, row.cells)) for row in rows],
        "main": [int(number in main) for number in range(len(rows))],
        "auditor": [word(row.auditor) for row in rows],
        "trained_against": [int(row.trained_against) for row in rows],
        "threat_model": [word(attacker_controls(row)) for row in rows],
        "device": [word(row.device) for row in rows],
        "figures": columns,
    }
    in_settings = {
        "labels": [[word(labels[axis]) for labels, _ in settings] for axis in range(len(board.axes))],
        "state": [word(state_of(cells)) for _, cells in settings],
        "done": [sum(cell.state == "done" for cell in cells) for _, cells in settings],
        "cells": [
            [[word(cell.seed), word(cell.state), word(cell.reason), safe_link(cell.link)] for cell in cells]
            for _, cells in settings
        ],
    }
    return {
        "axes": [clean_text(axis) for axis in board.axes],
        "columns": [_column(column) for column in board.columns],
        "figures": [_figure(spread, word) for spread in spreads],
        "settings": in_settings,
        "rows": in_rows,
        "words": list(word),
    }


class _Words:
    """Texts from outside, cleaned, each once; the first is the empty one."""

    def __init__(self) -> None:
        self._cleaned: dict[str, int] = {}
        self._words = _Once("")

    def __call__(self, text: str) -> int:
        """Return where a text stands."""
        if text not in self._cleaned:
            self._cleaned[text] = self._words(clean_text(text))
        return self._cleaned[text]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)


def _place(spread: Spread | None, spreads: _Once[Spread]) -> int | None:
    return None if spread is None or not math.isfinite(spread.mean) else spreads(spread)


def _figure(spread: Spread, word: _Words) -> list[float | int | None]:
    entries: list[float | int | None] = [
        float(spread.mean),
        _rounded(spread.deviation, _DIGITS_OF_SPREADS),
        spread.n,
        spread.images,
        _rounded(spread.low, _DIGITS_OF_SPREADS),
        _rounded(spread.high, _DIGITS_OF_SPREADS),
        word(spread.standing) or None,
        _rounded(spread.p_value, _DIGITS_OF_TESTS),
        _rounded(spread.effect, _DIGITS_OF_TESTS),
        word(spread.remarks) or None,
    ]
    while entries[-1] is None:
        entries.pop()
    return entries


def _rounded(value: float | None, digits: int) -> float | None:
    """Keep the leading digits of a number; JSON has no infinity and nothing that is not a number."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _column(column: Column) -> dict[str, object]:
    return {
        "title": column.title,
        "meaning": column.meaning,
        "better": column.better,
        "wanted": column.wanted,
        "of_maps": column.of_maps,
        "decimals": column.form.decimals,
        "unit": column.form.unit,
        "scale": column.form.scale,
        "signed": column.form.signed,
    }


def main_rows(rows: Sequence[Setting]) -> frozenset[int]:
    """Return one row a setting by its number: before the auditor trained against, else before the first."""
    chosen: dict[tuple[tuple[str, ...], tuple[BoardCell, ...]], int] = {}
    for number, row in enumerate(rows):
        known = chosen.setdefault((row.labels, row.cells), number)
        if row.trained_against and not rows[known].trained_against:
            chosen[row.labels, row.cells] = number
    return frozenset(chosen.values())


def attacker_controls(row: Setting) -> str:
    """Return what the attacker must control, without the verb that stands in the heading."""
    return row.threat_model.removeprefix("controls ")


def cells_by_state(rows: Sequence[Setting]) -> Counter[CellState]:
    """Count the experiments in every state; those of a setting that several auditors judged count once."""
    distinct = {(row.labels, row.cells) for row in rows}
    return in_order(Counter(cell.state for _, cells in distinct for cell in cells))


def in_order(counts: Mapping[CellState, int]) -> Counter[CellState]:
    """Sort counts so that what is done comes first and what was not begun last."""
    states: tuple[CellState, ...] = get_args(CellState)
    return Counter({state: counts[state] for state in states if counts.get(state)})


def state_of(cells: Sequence[BoardCell]) -> str:
    """Write how many experiments of a setting are in which state, and why where there is one reason."""
    counts = in_order(Counter(cell.state for cell in cells))
    line = ", ".join(f"{count} {state}" for state, count in counts.items())
    reasons = {clean_text(cell.reason) for cell in cells if cell.reason}
    if len(reasons) != 1:
        return line
    (reason,) = reasons
    return f"{line}: {reason if len(reason) <= _LONGEST_REASON else reason[:_LONGEST_REASON].rstrip() + '…'}"


def safe_link(link: str | None) -> str | None:
    """Return a link that can lead nowhere but to a file beside the page, or below or above it; else None."""
    if not link or link.startswith(("/", "\\")):
        return None
    # Without a colon there is no scheme, so neither a remote address nor a script.
    return quote(link, safe="/%#?=&+,;@~", errors="replace")


def as_script(data: Mapping[str, object]) -> str:
    """Write data as JSON that can stand in a script element, whatever its texts are."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
