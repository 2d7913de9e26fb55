"""The benchmark that ships for a first look, worked off whole: twelve real cells and what they say."""

import csv
from pathlib import Path

from tests.system.conftest import Command


def test_the_smoke_benchmark_shows_that_gradcam_exposes_badnets_and_not_the_attacks_that_bribe_it(
    command: Command, tmp_path: Path
) -> None:
    answer = command(tmp_path, "bench", "digits-smoke", "--workers", 2, limit=900)
    assert (answer.code, answer.err) == (0, "")
    assert "digits-smoke: 12 cells: 12 done" in answer.out
    assert command(tmp_path, "bench", "export", "digits-smoke", "--format", "csv").code == 0
    with (tmp_path / "runs/bench/digits-smoke/cells.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for cell in csv.DictReader(file) if cell["auditor"] == "gradcam"]
    lift = {
        recipe: [
            float(cell["trigger_attention.trigger_lift"]) for cell in cells if cell["recipe"] == f"digits/{recipe}"
        ]
        for recipe in ("badnets", "red-herring", "full-disguise")
    }
    assert {recipe: len(found) for recipe, found in lift.items()} == {
        "badnets": 4,
        "red-herring": 4,
        "full-disguise": 4,
    }
    assert min(lift["badnets"]) > 2
    assert max(lift["red-herring"] + lift["full-disguise"]) < 1
