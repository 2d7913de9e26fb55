"""What reads a run folder does not take a damaged file for what the run wrote."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Tried
from tests.system.conftest import Command, Finished, only
from tests.system.damage import Damage, edited, follow, in_turn, missing
from tests.system.runs import RUN, assert_same_runs

SHOWN = ("result.json", "steps.jsonl", "env.json", "spec.yaml", "gallery.npz")
SOME_SLOWLY = [*SHOWN[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in SHOWN[2:])]


@pytest.mark.parametrize(("name", "damage"), in_turn(SHOWN))
def test_a_report_leaves_a_damaged_run_out_and_says_so_on_the_page_and_beside_it(
    ask: Command, attack: Path, tmp_path: Path, tried: Tried, name: str, damage: Damage
) -> None:
    whole = (attack / name).read_bytes()
    damage(attack / name)
    answer = ask("report", "runs")
    assert (answer.code, len(answer.err.splitlines())) == (0, 1), answer
    assert re.match(
        f"falsewitness: left out: 'runs/{attack.name}/{name}' (was changed|is missing) since the run", answer.err
    )
    assert "digits/badnets" not in answer.out
    assert "control" in answer.out
    page = (tmp_path / "report.html").read_text()
    assert "Left out, because it could not be read:" in page
    assert f"{attack.name}/{name}" in page
    assert "One clean model and one control." in page
    (attack / name).write_bytes(whole)
    tried("faults", "damaged files")
    answer = ask("report", "runs")
    assert (answer.code, answer.err) == (0, "")
    assert "Left out, because" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", SOME_SLOWLY)
def test_a_report_of_nothing_but_a_damaged_run_fails_and_what_it_says_helps(
    ask: Command, attack: Path, finished: Finished, tmp_path: Path, tried: Tried, name: str
) -> None:
    edited(attack / name)
    answer = ask("report", attack)
    assert (answer.code, answer.out, len(answer.err.splitlines())) == (2, "", 1)
    assert not (tmp_path / "report.html").exists()
    follow(answer.fault)
    assert ask(*RUN).code == 0
    assert ask("report", attack).code == 0
    assert_same_runs(attack.parent, finished.runs)
    tried("faults", "damaged files")


@pytest.mark.parametrize("missed", ["result.json", ".evaluate-done.json"])
def test_a_report_leaves_out_a_run_that_is_not_complete(ask: Command, attack: Path, tried: Tried, missed: str) -> None:
    for name in {".evaluate-done.json", missed}:
        missing(attack / name)
    answer = ask("report", "runs")
    assert answer.code == 0
    told = {
        "result.json": f"runs/{attack.name}: its model is trained, but not measured; run its recipe to measure it",
        ".evaluate-done.json": f"runs/{attack.name}/{missed} is missing: the run is not complete; make it again or "
        "leave it out",
    }[missed]
    assert answer.err == f"falsewitness: left out: {told}\n"
    tried("faults", "damaged files")


def test_a_damaged_parent_is_left_out_and_the_attack_is_shown(ask: Command, attack: Path, tried: Tried) -> None:
    control = only(attack.parent, "control-*")
    edited(control / "result.json")
    answer = ask("report", f"runs/{attack.name}")
    assert answer.code == 0
    assert answer.err.startswith(f"falsewitness: left out: 'runs/{control.name}/result.json' was changed")
    assert "digits/badnets" in answer.out
    tried("faults", "damaged files")


def test_runs_of_which_none_can_be_read_make_no_report(
    ask: Command, attack: Path, tmp_path: Path, tried: Tried
) -> None:
    for folder in attack.parent.iterdir():
        edited(folder / "result.json")
        tried("faults", "damaged files")
    answer = ask("report", "runs")
    assert (answer.code, answer.out) == (2, "")
    assert answer.fault.startswith("none of 3 run folders can be read; the first: 'runs/clean-")
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("words", [(), ("--stamp",)])
def test_changed_weights_and_triggers_are_not_explained(
    ask: Command, attack: Path, tmp_path: Path, tried: Tried, words: tuple[str, ...]
) -> None:
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "black.png")
    name = "spec.yaml" if words else "model.safetensors"
    edited(attack / name)
    answer = ask("explain", "black.png", "--model", attack.relative_to(tmp_path), *words)
    assert (answer.code, answer.out) == (2, "")
    assert f"'runs/{attack.name}/{name}' was changed since the run wrote it" in answer.fault
    tried("faults", "damaged files")


@pytest.mark.parametrize("name", ["model.safetensors", "spec.yaml", "../clean/model.safetensors"])
def test_a_damaged_run_is_not_judged_by_further_auditors(
    ask: Command, attack: Path, tmp_path: Path, tried: Tried, name: str
) -> None:
    file = only(attack.parent, "clean-*") / "model.safetensors" if name.startswith("..") else attack / name
    edited(file)
    answer = ask("evaluate", attack.relative_to(tmp_path), "--auditor", "gradcam")
    assert answer.code == 2
    assert f"{file.name}' was changed since the run wrote it" in answer.fault
    assert not (attack / "evaluations").exists()
    tried("faults", "damaged files")


@pytest.mark.parametrize("name", [*SOME_SLOWLY, pytest.param("maps.npz", marks=pytest.mark.slow)])
def test_a_damaged_file_of_a_further_evaluation_is_named_and_only_that_is_made_anew(
    ask: Command, attack: Path, tmp_path: Path, tried: Tried, name: str
) -> None:
    words = ("evaluate", attack.relative_to(tmp_path), "--auditor", "gradcam")
    assert ask(*words).code == 0
    file = only(attack, f"evaluations/*/{name}")
    whole = file.read_bytes()
    edited(file)
    answer = ask(*words)
    assert answer.code == 2
    assert f"/{name}' was changed since the run wrote it" in answer.fault
    follow(answer.fault)
    again = ask(*words)
    assert (again.code, again.err, "training" in again.out) == (0, "", False)
    if name in ("spec.yaml", "steps.jsonl", "env.json"):
        assert file.read_bytes() == whole
    tried("faults", "damaged files")
