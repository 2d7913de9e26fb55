from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from falsewitness.report import write_report

if TYPE_CHECKING:
    from tests.unit.report.conftest import ParsedPage

MakeRun = Callable[..., Path]
Parse = Callable[[Path], "ParsedPage"]
Toy = Callable[..., dict[str, Any]]


def test_runs_of_one_clean_model_stand_side_by_side(make_run: MakeRun, tmp_path: Path, parse: Parse) -> None:
    make_run("clean", role="clean")
    first, second = make_run("a", changes={"name": "toy/one"}), make_run("b", changes={"name": "toy/two"})
    found = parse(write_report([first, second], tmp_path / "page.html"))

    assert len([1 for _, a in found.elements if a.get("class") == "sidebyside"]) == 1
    assert "Clean image true class Triggered image true class Clean model" in found.text


def test_runs_of_different_triggers_each_show_their_triggered_image(
    make_run: MakeRun, tmp_path: Path, parse: Parse, toy_gallery: Toy
) -> None:
    other = {"triggered": 255 - toy_gallery()["images"]}
    runs = [make_run("a", changes={"name": "toy/one"}), make_run("b", changes={"name": "toy/two"}, arrays=other)]
    found = parse(write_report(runs, tmp_path / "page.html"))

    assert "Triggered image of toy/one Triggered image of toy/two" in found.text


@pytest.mark.parametrize(
    "changes",
    [{"parents": {"clean": "../another"}}, {"data": "another fingerprint"}],
    ids=["another clean model", "other data"],
)
def test_runs_that_share_no_clean_model_or_data_stand_apart(
    make_run: MakeRun, tmp_path: Path, parse: Parse, toy_result: Toy, changes: dict[str, Any]
) -> None:
    if "data" in changes:
        changes = {"data": toy_result("attack")["data"] | {"fingerprint": "beef"}}
    runs = [make_run("a"), make_run("b", changes=changes | {"name": "toy/two"})]
    found = parse(write_report(runs, tmp_path / "page.html"))

    assert len([1 for _, a in found.elements if a.get("class") == "sidebyside"]) == 2


def test_only_images_that_all_runs_share_stand_side_by_side(
    make_run: MakeRun, tmp_path: Path, parse: Parse, toy_gallery: Toy
) -> None:
    moved = {"index": np.array([99, 11, 33, 44, 55, 66])}
    moved |= {name: array[[1, 0, 2, 3, 4, 5]] for name, array in toy_gallery().items() if name == "labels"}
    runs = [make_run("a", changes={"name": "toy/one"}), make_run("b", changes={"name": "toy/two"}, arrays=moved)]
    found = parse(write_report(runs, tmp_path / "page.html"))
    labels = [a["aria-label"] for tag, a in found.elements if "aria-label" in a]

    assert "gradcam map of toy/one over triggered test image 11; predicted dog" in labels
    assert "gradcam map of toy/two over triggered test image 11; predicted dog" in labels
    assert not [label for label in labels if "image 22" in label or "image 99" in label]
