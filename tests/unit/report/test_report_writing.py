from collections.abc import Callable
from pathlib import Path

import pytest

from falsewitness.core.errors import InputError, RunFailedError
from falsewitness.report import write_report

MakeRun = Callable[..., Path]


def test_the_same_runs_give_the_same_page(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    first, second = write_report([folder], tmp_path / "1.html"), write_report([folder], tmp_path / "2.html")

    assert first.read_bytes() == second.read_bytes()


def test_an_older_page_is_replaced_and_nothing_else_is_left(make_run: MakeRun, tmp_path: Path) -> None:
    out = tmp_path / "pages" / "page.html"
    out.parent.mkdir()
    out.write_text("old")

    assert write_report([make_run()], out) == out
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(out.parent.iterdir()) == [out]


def test_an_older_page_survives_a_damaged_run(make_run: MakeRun, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("old")

    with pytest.raises(InputError):
        write_report([make_run(files={"result.json": "{"})], out)
    assert out.read_text() == "old"


def test_a_place_that_cannot_be_written_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunFailedError, match=r"page\.html' cannot be written"):
        write_report([make_run()], tmp_path / "file" / "page.html")


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run folder"):
        write_report([], tmp_path / "page.html")
