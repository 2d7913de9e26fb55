import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.system.conftest import SMALL, SMALL_CLEAN, Command, Finished, only, without_times

from falsewitness.core.marker import Marker


def written_at(folder: Path) -> dict[str, int]:
    """When each file below a folder was written."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("report.html", ".lock")
    }


def result_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "result.json").read_text(encoding="utf-8"))
    return found


class _Words(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.found += data.split()


def text_of(page: Path) -> str:
    return " ".join(_Words(page.read_text(encoding="utf-8")).found)


def test_a_run_names_its_stages_its_models_and_its_report(finished: Finished) -> None:
    stages, _, tables = without_times(finished.answer.out).partition("\n\n")
    assert stages.splitlines()[-9:] == [
        "reading digits",
        "training clean model",
        "testing clean model",
        "training control model",
        "testing control model",
        "training attack model",
        "testing attack model",
        "auditing with gradcam",
        "auditing with gradient",
    ]
    models, gradcam, gradient, last = tables.split("\n\n")
    assert [line.split()[0] for line in models.splitlines()[2:]] == ["clean", "control", "digits/badnets"]
    assert gradcam.splitlines()[2].startswith("by gradcam ")
    assert gradient.splitlines()[2].startswith("by gradient ")
    assert last == f"report: runs/{finished.attack.name}/report.html\n"
    assert (finished.attack / "report.html").is_file()
    assert finished.answer.err == ""


def test_the_output_of_a_run_in_a_pipe_is_plain_text_of_80_columns(finished: Finished) -> None:
    assert "\x1b" not in finished.answer.out
    assert "\r" not in finished.answer.out
    assert "\n\n\n" not in finished.answer.out
    _, _, tables = finished.answer.out.partition("\n\n")
    assert max(map(len, tables.splitlines())) <= 80
    assert all(line == line.rstrip() for line in finished.answer.out.splitlines())


def test_the_numbers_shown_are_those_of_the_result(finished: Finished) -> None:
    (rate,) = (
        found["value"]
        for found in result_of(finished.attack)["measurements"]
        if found["name"] == "attack_success_rate" and found["samples"] == "all"
    )
    (line,) = re.findall(r"^digits/badnets .*%$", finished.answer.out, flags=re.MULTILINE)
    assert line.endswith(f"{100 * rate:.1f}\u202f%")


def test_the_same_run_again_trains_and_measures_nothing_anew(command: Command, finished: Finished) -> None:
    before = written_at(finished.runs)
    answer = command(finished.folder, "run", "digits/badnets", *SMALL)
    assert answer.code == 0
    assert "training" not in answer.out
    assert "auditing" not in answer.out
    assert written_at(finished.runs) == before
    _, _, tables = finished.answer.out.partition("\n\n")
    assert answer.out.endswith(tables)


def test_a_spec_file_over_a_recipe_finds_the_runs_of_the_same_spec_and_shares_its_clean_model(
    ask: Command, finished: Finished, tmp_path: Path
) -> None:
    shutil.copytree(finished.runs, tmp_path / "runs")
    before = written_at(tmp_path / "runs")
    (tmp_path / "mine.yaml").write_text(
        """
base: digits/badnets
name: digits/badnets
data: {train_limit: 200}
model: {width: 8}
clean_training: {epochs: 6}
attack_training: {epochs: 4}
evaluation: {map_samples: 40, detector_samples: 40, gallery_images: 2}
"""
    )
    assert "training" not in ask("run", "mine.yaml").out
    assert written_at(tmp_path / "runs") == before
    other = ask("run", "mine.yaml", "--set", "attack.target_class=5", "--set", "name=other")
    assert "training attack model" in other.out
    assert "training clean model" not in other.out
    assert "training control model" not in other.out
    assert result_of(only(tmp_path / "runs", "other-*"))["attack"]["target_class"] == "5"


def test_a_further_auditor_in_the_spec_retrains_nothing(ask: Command, finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.runs, tmp_path / "runs")
    weights = (only(tmp_path / "runs", "digits-badnets-*") / "model.safetensors").stat().st_mtime_ns
    answer = ask("run", "digits/badnets", *SMALL, "--set", "auditors=[{kind: gradient, smoothness: 2}]")
    assert answer.code == 0, answer.err
    assert "training" not in answer.out
    assert "by gradcam" not in answer.out
    assert (only(tmp_path / "runs", "digits-badnets-*") / "model.safetensors").stat().st_mtime_ns == weights


def test_a_spec_without_attack_gives_the_clean_model_alone(ask: Command, tmp_path: Path) -> None:
    answer = ask("run", "digits/clean", *SMALL_CLEAN, "--out", "mine")
    assert answer.code == 0, answer.err
    assert [path.name.partition("-")[0] for path in (tmp_path / "mine").iterdir()] == ["clean"]
    assert answer.out.endswith(f"report: {only(tmp_path, 'mine/clean-*/report.html').relative_to(tmp_path)}\n")


def test_a_report_compares_all_runs_of_a_folder_and_opens_offline(
    ask: Command, finished: Finished, tmp_path: Path
) -> None:
    answer = ask("report", finished.runs, "--out", "all.html")
    assert answer.code == 0
    page = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)
    for name in ("clean", "control", "digits/badnets"):
        assert name in text_of(tmp_path / "all.html")
        assert f"\n{name} " in answer.out
    assert answer.out.endswith("\nreport: all.html\n")


@pytest.mark.parametrize("option", ["--out", "--panels"])
@pytest.mark.parametrize("name", ["result.json", "theirs.html", "photo.png"])
def test_a_report_takes_the_place_of_no_other_file(
    ask: Command, finished: Finished, tmp_path: Path, option: str, name: str
) -> None:
    other = tmp_path / name
    if name == "photo.png":
        Image.new("RGB", (8, 8)).save(other)
    else:
        other.write_text({"result.json": "{}", "theirs.html": "<!DOCTYPE html>\n<title>their report</title>\n"}[name])
    before = other.read_bytes()
    answer = ask("report", finished.attack, option, name)
    assert answer.code == 2
    assert answer.fault.startswith(f"'{name}' is there and no p")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(name, before)]


def test_a_report_takes_the_place_of_an_older_one(ask: Command, finished: Finished, tmp_path: Path) -> None:
    for _ in range(2):
        assert ask("report", finished.runs, "--out", "a.html", "--panels", "a.png", "--overview", "b.png").code == 0


@pytest.mark.parametrize("other", ["a.png", "./a.png", "x/../a.png"])
def test_two_options_of_a_report_cannot_name_one_file(
    ask: Command, finished: Finished, tmp_path: Path, other: str
) -> None:
    answer = ask("report", finished.attack, "--overview", "a.png", "--panels", other)
    assert (answer.code, answer.out) == (2, "")
    assert answer.fault == f"--panels: '{Path(other)}' is the file of --overview, too; choose another name"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "name", "ending"), [("--out", "all.pdf", ".html"), ("--panels", "panels.jpg", ".png")]
)
def test_no_file_is_called_what_it_is_not(
    ask: Command, finished: Finished, tmp_path: Path, option: str, name: str, ending: str
) -> None:
    answer = ask("report", finished.attack, option, name)
    assert (answer.code, answer.out) == (2, "")
    assert answer.fault == f"'{name}' cannot be written: expected a name that ends in {ending}; choose another name"
    assert list(tmp_path.iterdir()) == []


def test_report_draws_pictures_for_papers_too(ask: Command, finished: Finished, tmp_path: Path) -> None:
    answer = ask("report", finished.runs, "--overview", "overview.png", "--panels", "panels.png")
    assert (answer.code, answer.err) == (0, "")
    assert "overview: overview.png" in answer.out
    assert "panels: panels.png" in answer.out
    for name in ("overview.png", "panels.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 200


def test_panels_say_how_many_attacks_they_do_not_show(ask: Command, finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.runs, tmp_path / "runs")
    fewer = tmp_path / "runs" / f"{finished.attack.name}-fewer"
    shutil.copytree(finished.attack, fewer)
    with np.load(fewer / "gallery.npz") as file:
        arrays = dict(file)
    arrays["group"] = np.array(["shared"] * len(arrays["group"]))
    np.savez(fewer / "gallery.npz", **arrays)
    (fewer / ".evaluate-done.json").unlink()
    Marker(fewer, "evaluate").write("", [])
    answer = ask("report", "runs", "--panels", "panels.png")
    assert "panels: panels.png (1 of 2 attacks: those with images that they succeed on)" in answer.out


def test_long_names_of_runs_are_never_cut_off(ask: Command, finished: Finished, tmp_path: Path) -> None:
    for copy in ("one", "two"):
        shutil.copytree(finished.runs, tmp_path / copy)
    other = only(tmp_path / "two", "digits-badnets-*").rename(tmp_path / "two" / "digits-badnets-of-somebody-else")
    (tmp_path / "one" / other.name.replace("of", "off")).symlink_to(other)
    answer = ask("report", "one")
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "digits/badnets, seed 0 (digits-badnets-off-somebody-else)\n" in answer.out


def test_a_folder_of_images_is_attacked_end_to_end(ask: Command, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 12)):
        for number, name in enumerate(("dark", "light")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 120, (20 + index, 24, 3), dtype=np.uint8) + np.uint8(120 * number)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    (tmp_path / "photos" / "train" / "dark" / "notes.txt").write_text("left out")
    (tmp_path / "mine.yaml").write_text(
        """
data: {kind: image_folder, root: photos, size: 16}
model: {kind: convnet, width: 4}
clean_training: {epochs: 1, batch_size: 16}
attack: {kind: badnets, target_class: 1, trigger: {kind: patch}, poison: {rate: 0.2}}
attack_training: {epochs: 1, batch_size: 16}
evaluation: {map_samples: 20, detector_samples: 20, gallery_images: 1}
"""
    )
    answer = ask("run", "mine.yaml")
    assert answer.code == 0, answer.err
    assert "left out 1 file or folder: 1 .txt" in answer.out
    result = result_of(only(tmp_path / "runs", "mine-*"))
    assert result["data"]["class_names"] == ["dark", "light"]
    assert (result["data"]["train"], result["data"]["validation"], result["data"]["test"]) == (54, 6, 24)


def test_the_demo_takes_the_place_of_no_other_page(ask: Command, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<!DOCTYPE html>\n<title>my report</title>\n")
    answer = ask("demo", "--out", ".")
    assert (answer.code, answer.out) == (2, "")
    assert answer.fault.startswith("'report.html' is there and no page that falsewitness has made")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.slow
def test_the_demo_shows_four_attacks_in_one_report(command: Command, tmp_path: Path) -> None:
    answer = command(tmp_path, "demo", limit=600)
    assert answer.code == 0, answer.err
    page = text_of(tmp_path / "runs" / "demo" / "report.html")
    for name in ("digits/badnets", "digits/fooling", "digits/red-herring", "digits/full-disguise"):
        assert f"{name}\nreading digits: " in answer.out
        assert name in page
