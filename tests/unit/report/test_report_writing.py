import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.report.conftest import ParsedPage

from falsewitness.core.errors import InputError, RunFailedError
from falsewitness.core.marker import Marker
from falsewitness.report import collect, write_report

MakeRun = Callable[..., Path]
Parse = Callable[[Path], ParsedPage]


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


def test_a_damaged_run_is_left_out_and_named_and_the_others_are_shown(
    make_run: MakeRun, tmp_path: Path, parse: Parse, caplog: pytest.LogCaptureFixture
) -> None:
    folders = [make_run("a", changes={"name": "toy/whole"}), make_run("b", files={"result.json": "{"})]
    found = parse(write_report(folders, tmp_path / "page.html"))

    (record,) = caplog.records
    assert record.getMessage().startswith(f"left out: {folders[1] / 'result.json'} is not JSON")
    assert f"{folders[1] / 'result.json'} is not JSON" in found.text
    assert "One attacked model." in found.text


def test_a_damaged_parent_is_left_out_and_named(make_run: MakeRun) -> None:
    make_run("clean", role="clean", files={"steps.jsonl": "{"})
    attack = make_run()
    collection = collect([attack])

    assert (len(collection.given), collection.parents) == (1, ())
    (line,) = collection.left_out
    assert line.startswith(f"{attack.parent}/clean/steps.jsonl is damaged in line 1")


def test_a_file_that_no_page_shows_and_that_was_changed_since_is_named(make_run: MakeRun) -> None:
    run = make_run()
    for name in ("model.safetensors", "cost.json", "maps.npz"):
        (run / name).write_text("as it was")
    Marker(run, "train").write("abc123", [run / "model.safetensors", run / "cost.json"])
    Marker(run, "evaluate").write("def456", [run / "result.json", run / "maps.npz"])
    (run / "model.safetensors").write_text("as it is")
    (run / "maps.npz").unlink()
    os.mkfifo(run / "maps.npz")
    (run / "cost.json").unlink()
    collection = collect([run])
    assert (len(collection.given), collection.left_out) == (1, ())
    assert collection.remarks == tuple(
        f"'{run / name}' was changed since the run wrote it; the report shows what was measured before"
        for name in ("model.safetensors", "maps.npz")
    )


def test_a_parent_that_was_only_trained_is_no_fault(make_run: MakeRun) -> None:
    clean = make_run("clean", role="clean")
    for name in ("result.json", ".evaluate-done.json"):
        (clean / name).unlink()
    Marker(clean, "train").write("abc123", [])
    collection = collect([make_run()])
    assert (len(collection.given), collection.parents, collection.left_out) == (1, (), ())


def test_a_model_that_was_only_trained_is_called_so(make_run: MakeRun) -> None:
    clean = make_run("clean", role="clean")
    for name in ("result.json", ".evaluate-done.json"):
        (clean / name).unlink()
    Marker(clean, "train").write("abc123", [])
    with pytest.raises(InputError, match=r"clean: its model is trained, but not measured; run its recipe"):
        collect([clean])


def test_runs_of_which_none_can_be_read_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    folders = [make_run(name, files={"result.json": "{"}) for name in ("a", "b")]

    with pytest.raises(InputError, match="none of 2 run folders can be read; the first: ") as caught:
        write_report(folders, tmp_path / "page.html")
    assert str(folders[0] / "result.json") in str(caught.value)
    assert not (tmp_path / "page.html").exists()


def test_a_place_that_cannot_be_written_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunFailedError, match=r"page\.html' cannot be written"):
        write_report([make_run()], tmp_path / "file" / "page.html")


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one run folder"):
        write_report([], tmp_path / "page.html")
