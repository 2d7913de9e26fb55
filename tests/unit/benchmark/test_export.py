"""A benchmark as tables: a line a cell and auditor for programs, a line a setting for papers."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.unit.benchmark.conftest import QUICK, Measured, finish, prepared

from falsewitness.benchmark import FORMATS, Prepared, export, survey
from falsewitness.benchmark._board import board
from falsewitness.benchmark._export import cell_table, latex, markdown
from falsewitness.benchmark._status import Status, record_failure
from falsewitness.cli import bench
from falsewitness.report import Board

NASTY = r"[a|b] & 50% of #1_{x} ~ ^ \ <y> $z$"
"""A label with every sign that means something in Markdown or LaTeX."""


def finish_some(benchmark: Prepared) -> None:
    """Finish the first cell before two auditors, let the second fail, leave the others."""
    first, second, *_ = (benchmark.agenda.tasks[key] for key in benchmark.agenda.of_cells.values())
    lift = [Measured("trigger_attention.trigger_lift", 1.5, name, low=1.0) for name in ("gradcam", "gradient")]
    finish(first, measured=[Measured("clean_accuracy.accuracy", 0.9), *lift], surrogate="gradient")
    record_failure(second, Status("failed", 'no "memory", at all\nthere is none'), 0.0)


def laid_out_for(benchmark: Prepared) -> Board:
    return board(survey(benchmark), benchmark.folder)


def read_csv(path: Path, like: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - pyarrow has no types
    """Read a table as of the types of another; what is empty and not quoted is missing."""
    types = {field.name: field.type for field in like.schema}
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    lines: list[dict[str, Any]] = pyarrow.csv.read_csv(path, convert_options=options, parse_options=parse).to_pylist()
    return lines


def test_there_is_a_line_for_each_cell_and_auditor(tiny: Prepared) -> None:
    finish_some(tiny)
    lines = cell_table(survey(tiny))
    places = [(line["attack.poison.rate"], line["seed"], line["auditor"], line["state"]) for line in lines]
    assert places == [
        (0.1, 0, "gradcam", "done"),
        (0.1, 0, "gradient", "done"),
        (0.1, 1, None, "failed"),
        (0.2, 0, None, "waiting"),
        (0.2, 1, None, "waiting"),
    ]
    done = lines[0]
    assert (done["clean_accuracy.accuracy"], done["trigger_attention.trigger_lift"]) == (0.9, 1.5)
    assert (done["trigger_attention.trigger_lift.low"], done["trigger_attention.trigger_lift.n"]) == (1.0, 10)
    assert (done["trained_against"], done["threat_model"]) == ("gradient", "controls data only")
    assert (done["training_seconds"], done["run"]) == (36.0, next(iter(tiny.agenda.of_cells.values())))
    failed = lines[2]
    assert failed["reason"] == 'no "memory", at all\nthere is none'
    assert failed["clean_accuracy.accuracy"] is None


def test_csv_and_parquet_say_the_same_as_the_table(tiny: Prepared, tmp_path: Path) -> None:
    finish_some(tiny)
    found = survey(tiny)
    parquet, csv = export(found, ["parquet", "csv"], tmp_path / "tables").files
    table = pq.read_table(parquet)
    assert table.to_pylist() == cell_table(found)
    assert read_csv(csv, table) == table.to_pylist()


def test_a_benchmark_without_figures_is_exported_all_the_same(tiny: Prepared, tmp_path: Path) -> None:
    paths = export(survey(tiny), tuple(FORMATS), tmp_path).files
    assert [path.name for path in paths] == [
        "index.html",
        "cells.parquet",
        "cells.csv",
        "leaderboard.md",
        "leaderboard.tex",
        "auditors.png",
    ]
    assert all(path.stat().st_size for path in paths)
    assert {line["state"] for line in pq.read_table(paths[1]).to_pylist()} == {"waiting"}


def test_an_excluded_cell_has_its_line_with_the_reason(tmp_path: Path) -> None:
    benchmark = prepared(tmp_path, exclude=[{"where": {"seed": 1}, "reason": "too long"}])
    lines = cell_table(survey(benchmark))
    assert [(line["state"], line["reason"]) for line in lines[:2]] == [("waiting", ""), ("skipped", "too long")]
    assert lines[1]["run"] is None


def test_an_axis_may_be_called_like_a_column(tmp_path: Path) -> None:
    axes = {"auditor": {"weak": {"attack.poison.rate": 0.1}, "strong": {"attack.poison.rate": 0.2}}}
    lines = cell_table(survey(prepared(tmp_path, axes=axes)))
    assert [(line["axis.auditor"], line["auditor"]) for line in lines] == [("weak", None), ("strong", None)]


def test_an_axis_may_be_called_like_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falsewitness.benchmark._export._lines", lambda *_: [{"accuracy": 0.5}])
    axes = {"accuracy": {"weak": {"attack.poison.rate": 0.1}, "strong": {"attack.poison.rate": 0.2}}}
    lines = cell_table(survey(prepared(tmp_path, axes=axes)))
    assert lines == [{"axis.accuracy": label, "accuracy": 0.5} for label in ("weak", "strong")]


def nasty(out: Path) -> Prepared:
    """A benchmark with labels that must be escaped; a cell is done, another failed."""
    axes = {"what|ever_1": {NASTY: {"attack.poison.rate": 0.1}, "two\nlines": {"attack.poison.rate": 0.2}}}
    benchmark = prepared(out, axes=axes, common=QUICK)
    finish_some(benchmark)
    return benchmark


def cells_of(row: str, separator: str) -> list[str]:
    """The cells of a row, which separators without a backslash before them part."""
    return [cell.strip() for cell in re.split(rf"(?<!\\)\{separator}", row)]


def test_markdown_has_as_many_cells_in_every_row_whatever_the_labels_are(tmp_path: Path) -> None:
    laid_out = laid_out_for(nasty(tmp_path))
    rows = [cells_of(line, "|") for line in markdown(laid_out).splitlines() if line.startswith("|")]
    assert {len(row) for row in rows} == {len(laid_out.axes) + 2 + len(laid_out.columns) + 2}
    heading, rule, *settings = rows
    assert heading[1:4] == [r"what\|ever_1", "auditor", "threat model"]
    assert set(rule[1:-1]) == {"---"}
    shown = r"[a\|b] &amp; 50% of #1_{x} ~ ^ \ &lt;y&gt; $z$"
    assert [row[1:3] for row in settings] == [
        [shown, "gradcam"],
        [shown, "gradient"],
        ["two lines", "(failed)"],
    ]
    assert "90.0\u202f% (n=1)" in settings[0]
    assert laid_out.command in markdown(laid_out)


def test_latex_has_as_many_columns_in_every_row_and_nothing_unescaped(tmp_path: Path) -> None:
    laid_out = laid_out_for(nasty(tmp_path))
    text = latex(laid_out)
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    begin = re.fullmatch(r"\\begin\{tabular\}\{(l+)(r+)\}", lines[0])
    assert begin is not None
    assert (len(begin[1]), len(begin[2])) == (len(laid_out.axes) + 2, len(laid_out.columns))
    assert lines[-1] == r"\end{tabular}"
    rows = [line.removesuffix(r" \\") for line in lines if line.endswith(r"\\")]
    assert {len(cells_of(row, "&")) for row in rows} == {len(begin[1]) + len(begin[2])}
    assert [line for line in lines[1:-1] if not line.endswith(r"\\")] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert cells_of(rows[1], "&")[0] == (
        r"{[}a|b{]} \& 50\% of \#1\_\{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} $<$y$>$ \$z\$"
    )
    for row in rows:
        plain = re.sub(r"\\[&%$#_{}]|\$\\(pm|downarrow)\$", "", row)  # what is escaped
        assert not re.search(r"[%#_~^±\u2212\u202f]", plain), row
        assert plain.count("{") == plain.count("}")
        assert plain.count("$") % 2 == 0
        assert not plain.startswith("[")
        assert set(re.findall(r"\\([a-z]+|.)", plain)) <= {"textbackslash", "textasciitilde", "textasciicircum", ","}


@pytest.mark.parametrize("write", [markdown, latex])
def test_the_best_and_what_is_like_it_are_marked_and_the_marks_explained(tiny: Prepared, write: Any) -> None:  # noqa: ANN401
    for key, accuracy in zip(tiny.agenda.of_cells.values(), (0.9, 0.8, 0.7, 0.81), strict=True):
        finish(tiny.agenda.tasks[key], accuracy)
    text = write(laid_out_for(tiny))
    assert "* the best, = not distinguishable from it" in text
    costs = ["(n=2)", "(n=2)"]
    assert re.findall(r"\(n=2\)[*=]?", text) == ["(n=2)*", *costs, "(n=2)=", *costs]


def test_the_command_line_tells_every_format() -> None:
    assert tuple(FORMATS) == bench._FORMATS


def test_tables_for_papers_have_no_control_characters(tmp_path: Path) -> None:
    laid_out = replace(laid_out_for(nasty(tmp_path)), axes=("a\x1b[31mred\x85\x00", "b"))
    for text in (latex(laid_out), markdown(laid_out)):
        assert "a[31mred" in text.replace("{[}", "[")
        assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text) is None
