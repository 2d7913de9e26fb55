"""Files of a run that were cut short, emptied, edited or removed: noticed, named, and mended by what the line says."""

import re
from pathlib import Path

import pytest
from tests.conftest import Tried
from tests.system.conftest import Command, Finished, only
from tests.system.damage import DAMAGES, Damage, changed_since, cut, edited, emptied, follow, in_turn, missing
from tests.system.runs import RUN, assert_same_runs, written_by

TRAINING = ("model.safetensors", "plan.parquet", "steps.jsonl", "cost.json", "env.json")
EVALUATION = ("result.json", "values.npz", "maps.npz", "gallery.npz", "spec.yaml")
MARKERS = (".train-done.json", ".evaluate-done.json")


@pytest.mark.parametrize(("name", "damage"), in_turn(TRAINING))
def test_a_damaged_file_of_the_training_is_named_and_only_that_model_is_trained_again(
    ask: Command, attack: Path, finished: Finished, tried: Tried, name: str, damage: Damage
) -> None:
    before = written_by(attack.parent)
    damage(attack / name)
    answer = ask(*RUN)
    assert (answer.code, "training" in answer.out) == (2, False)
    assert re.match(rf"'runs/{attack.name}/{name}' (was changed|is missing) since the run wrote it; ", answer.fault)
    assert ask(*RUN).err == answer.err, "as long as nothing is done about it"
    follow(answer.fault)
    again = ask(*RUN)
    assert (again.code, again.err) == (0, "")
    assert re.findall("training (\\w+) model", again.out) == ["attack"]
    assert_same_runs(attack.parent, finished.runs)
    assert {folder for folder, _ in changed_since(before, attack.parent)} == {"digits"}
    tried("faults", "damaged files")


@pytest.mark.parametrize(("name", "damage"), in_turn(EVALUATION))
def test_a_damaged_file_of_the_evaluation_is_named_and_nothing_is_trained_again(
    ask: Command, attack: Path, finished: Finished, tried: Tried, name: str, damage: Damage
) -> None:
    before = written_by(attack.parent)
    damage(attack / name)
    answer = ask(*RUN)
    assert (answer.code, "auditing" in answer.out) == (2, False)
    assert re.match(rf"'runs/{attack.name}/{name}' (was changed|is missing) since the run wrote it; ", answer.fault)
    follow(answer.fault)
    again = ask(*RUN)
    assert (again.code, again.err, "training" in again.out) == (0, "", False)
    assert_same_runs(attack.parent, finished.runs)
    evaluated = {("digits", file) for file in (*EVALUATION, ".evaluate-done.json")}
    assert changed_since(before, attack.parent) == evaluated
    tried("faults", "damaged files")


@pytest.mark.parametrize("role", [pytest.param("clean", marks=pytest.mark.slow), "control"])
@pytest.mark.parametrize("name", ["model.safetensors", "result.json"])
def test_a_damaged_file_of_a_model_before_the_attack_is_named_too(
    ask: Command, attack: Path, finished: Finished, tried: Tried, role: str, name: str
) -> None:
    folder = only(attack.parent, f"{role}-*")
    before = written_by(attack.parent)
    edited(folder / name)
    answer = ask(*RUN)
    assert answer.code == 2
    assert f"'runs/{folder.name}/{name}' was changed since the run wrote it" in answer.fault
    follow(answer.fault)
    assert ask(*RUN).code == 0
    assert_same_runs(attack.parent, finished.runs)
    assert {begun for begun, _ in changed_since(before, attack.parent)} == {role}
    tried("faults", "damaged files")


@pytest.mark.parametrize("name", MARKERS)
@pytest.mark.parametrize("damage", [cut, pytest.param(emptied, marks=pytest.mark.slow), edited])
def test_a_damaged_marker_is_named_and_what_it_vouched_for_is_made_anew(
    ask: Command, attack: Path, finished: Finished, tried: Tried, name: str, damage: Damage
) -> None:
    damage(attack / name)
    answer = ask(*RUN)
    assert answer.code == 2
    assert f"'runs/{attack.name}/{name}'" in answer.fault
    follow(answer.fault)
    assert not (attack / name).exists()
    again = ask(*RUN)
    assert (again.code, again.err) == (0, "")
    assert ("training attack model" in again.out) == (name == ".train-done.json")
    assert_same_runs(attack.parent, finished.runs)
    tried("faults", "damaged files")


def for_another_digest(marker: Path) -> None:
    marker.write_text(re.sub(r'"digest": "\w+"', '"digest": "0"', marker.read_text()))


@pytest.mark.parametrize("damage", [missing, pytest.param(for_another_digest, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", MARKERS)
def test_what_no_marker_vouches_for_is_made_anew_and_that_is_said(
    ask: Command, attack: Path, finished: Finished, tried: Tried, name: str, damage: Damage
) -> None:
    damage(attack / name)
    answer = ask(*RUN)
    assert (answer.code, answer.err) == (0, "")
    if name == ".train-done.json":
        assert f"attack model: trained anew; 'runs/{attack.name}/{name}' does not vouch for what is there" in answer.out
    else:
        assert f"'runs/{attack.name}': measured anew; the result that is there is replaced" in answer.out
        assert "training" not in answer.out
    assert_same_runs(attack.parent, finished.runs)
    tried("faults", "damaged files")


def test_a_damaged_page_is_made_again_by_every_run(ask: Command, attack: Path, tried: Tried) -> None:
    whole = (attack / "report.html").read_bytes()
    for damage in DAMAGES:
        damage(attack / "report.html")
        assert ask(*RUN).code == 0
        assert (attack / "report.html").read_bytes() == whole
        tried("faults", "damaged files")
