"""The report: reads run folders and nothing else, and shows what they say on one page that opens offline."""

from falsewitness.report._auditors_figure import auditors_figure
from falsewitness.report._board import Board, BoardCell, CellState, Setting, Spread, Standing
from falsewitness.report._board_page import write_board
from falsewitness.report._collect import Collection, collect
from falsewitness.report._columns import BOARD_COLUMNS, Column, Source
from falsewitness.report._columns_figure import columns_figure
from falsewitness.report._explanation_figure import explanation_figure
from falsewitness.report._heat_figure import heat_figure
from falsewitness.report._overview import overview_figure
from falsewitness.report._panel_figure import count_panels, panel_figure
from falsewitness.report._read import read_result, read_run
from falsewitness.report._run import Result, Run
from falsewitness.report._side_by_side import count_side_by_side
from falsewitness.report._summary import SummaryTable, summary
from falsewitness.report._write import write_page, write_report

__all__ = [
    "BOARD_COLUMNS",
    "Board",
    "BoardCell",
    "CellState",
    "Collection",
    "Column",
    "Result",
    "Run",
    "Setting",
    "Source",
    "Spread",
    "Standing",
    "SummaryTable",
    "auditors_figure",
    "collect",
    "columns_figure",
    "count_panels",
    "count_side_by_side",
    "explanation_figure",
    "heat_figure",
    "overview_figure",
    "panel_figure",
    "read_result",
    "read_run",
    "summary",
    "write_board",
    "write_page",
    "write_report",
]
