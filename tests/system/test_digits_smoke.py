"""The benchmark that ships for a first look: real cells, and what they say."""

import csv
from pathlib import Path

import pytest
import yaml
from tests.system.conftest import Command


@pytest.mark.slow
def test_the_smoke_benchmark_shows_that_gradcam_exposes_badnets_and_not_the_attacks_that_bribe_it(
    command: Command, tmp_path: Path
) -> None:
    expect_badnets_alone_to_be_exposed(command, tmp_path, "digits-smoke", models_and_seeds=4)


def test_one_model_and_seed_of_the_smoke_benchmark_show_it_too(command: Command, tmp_path: Path) -> None:
    bench = yaml.safe_load(command(tmp_path, "show", "digits-smoke").out)
    model, definition = next(iter(bench["axes"]["model"].items()))
    bench["axes"] |= {"model": {model: definition}, "seed": bench["axes"]["seed"][:1]}
    (tmp_path / "smaller.yaml").write_text(yaml.safe_dump(bench))
    expect_badnets_alone_to_be_exposed(command, tmp_path, "smaller.yaml", models_and_seeds=1)


def expect_badnets_alone_to_be_exposed(command: Command, folder: Path, bench: str, models_and_seeds: int) -> None:
    answer = command(folder, "bench", bench, "--workers", 2, limit=900)
    assert (answer.code, answer.err) == (0, "")
    name, cells = bench.removesuffix(".yaml"), 3 * models_and_seeds
    assert f"{name}: {cells} cells: {cells} done" in answer.out
    assert command(folder, "bench", "export", bench, "--format", "csv").code == 0
    with (folder / f"runs/bench/{name}/cells.csv").open(encoding="utf-8", newline="") as file:
        found = [cell for cell in csv.DictReader(file) if cell["auditor"] == "gradcam"]
    lift = {
        recipe: [
            float(cell["trigger_attention.trigger_lift"]) for cell in found if cell["recipe"] == f"digits/{recipe}"
        ]
        for recipe in ("badnets", "red-herring", "full-disguise")
    }
    assert [len(of_recipe) for of_recipe in lift.values()] == 3 * [models_and_seeds]
    assert min(lift["badnets"]) > 2
    assert max(lift["red-herring"] + lift["full-disguise"]) < 1
