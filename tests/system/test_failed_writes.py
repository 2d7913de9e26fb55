"""Writes that fail: a line says which, what is whole is kept, and a run with room ends with the same bits."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Tried
from tests.system.conftest import Answer, Begin, Command, Finished, end_of, environment, only, until
from tests.system.limits import files_of_at_most
from tests.system.runs import CLEAN_RUN, RUN, assert_same_runs, vouched_for

LONG_LOG = ("--set", "model.width=1", "--set", "clean_training.epochs=2", "--set", "clean_training.batch_size=2")
FEW_MAPS = ("--set", "evaluation.map_samples=20", "--set", "evaluation.detector_samples=20")
MANY_IMAGES = ("--set", "evaluation.gallery_images=16")

NOTHING_YET, TRAINED, FINISHED = "nothing yet", "trained", "finished"


def prepare(folder: Path, finished: Finished, state: str) -> None:
    """Put a run there as far as it shall be."""
    if state != NOTHING_YET:
        shutil.copytree(finished.runs, folder / "runs")
    if state == TRAINED:
        for name in (".evaluate-done.json", "result.json", "values.npz", "maps.npz", "gallery.npz", "report.html"):
            (only(folder / "runs", "digits-*") / name).unlink()


def assert_told(answer: Answer, file: str, reason: str, code: int = 1) -> None:
    assert answer.code == code, answer
    assert len(answer.err.splitlines()) == 1, answer.err
    assert file in answer.fault
    assert reason in answer.fault


@pytest.mark.parametrize(
    ("file", "size", "words", "state"),
    [
        ("decoded images", 1_000_000, RUN, NOTHING_YET),
        pytest.param("spec.yaml", 300, RUN, NOTHING_YET, marks=pytest.mark.slow),
        pytest.param("plan.parquet", 1_500, RUN, NOTHING_YET, marks=pytest.mark.slow),
        ("checkpoint.safetensors", 200_000, RUN, NOTHING_YET),
        ("steps.jsonl", 10_000, (*CLEAN_RUN, *LONG_LOG), NOTHING_YET),
        ("maps.npz", 500_000, RUN, TRAINED),
        ("gallery.npz", 720_000, (*RUN, *FEW_MAPS, *MANY_IMAGES), FINISHED),
        ("report.html", 100_000, RUN, FINISHED),
    ],
)
def test_a_full_disk_is_told_in_a_line_and_nothing_that_is_whole_is_lost(
    ask: Command,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tried: Tried,
    file: str,
    size: int,
    words: tuple[str, ...],
    state: str,
) -> None:
    prepare(tmp_path, finished, state)
    if file == "decoded images":
        monkeypatch.setenv("FALSEWITNESS_CACHE", str(tmp_path / "cache"))
    before = vouched_for(tmp_path / "runs")
    with files_of_at_most(size):
        answer = ask(*words)
    assert_told(answer, file, "File too large; make room")
    assert before.items() <= vouched_for(tmp_path / "runs").items()
    assert not list(tmp_path.rglob(".*.partial"))
    again = ask(*words)
    assert (again.code, again.err) == (0, "")
    assert_same_runs(tmp_path / "runs", undisturbed(ask, finished, monkeypatch, words, state))
    tried("faults", "failed writes")


def undisturbed(
    ask: Command, finished: Finished, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], state: str
) -> Path:
    """Run what was disturbed once more, elsewhere."""
    if words == RUN:
        return finished.runs
    elsewhere = Path.cwd() / "elsewhere"
    elsewhere.mkdir()
    prepare(elsewhere, finished, state)
    monkeypatch.chdir(elsewhere)
    answer = ask(*words)
    assert answer.code == 0, answer.err
    return elsewhere / "runs"


def test_a_model_that_cannot_be_written_costs_no_training(
    ask: Command, begin: Begin, finished: Finished, tmp_path: Path, tried: Tried
) -> None:
    clean = tmp_path / "runs" / only(finished.runs, "clean-*").name
    training = begin(tmp_path, *RUN)
    until((clean / "checkpoint.safetensors").exists, training)
    (clean / "model.safetensors" / "in the way").mkdir(parents=True)
    assert_told(end_of(training), "model.safetensors", "directory")
    assert_told(ask(*RUN), "model.safetensors", "got a folder; remove it", code=2)
    shutil.rmtree(clean / "model.safetensors")
    with files_of_at_most(100_000):
        full = ask(*RUN)
    assert_told(full, "model.safetensors", "File too large; make room")
    assert "clean model: going on from the last finished epoch" in full.out
    assert ask(*RUN).code == 0
    assert_same_runs(tmp_path / "runs", finished.runs)
    tried("faults", "failed writes", 3)


@pytest.mark.parametrize(
    "place",
    [
        *("runs", "runs/attack", "cache"),
        *(pytest.param(place, marks=pytest.mark.slow) for place in ("runs/clean", "cache/data", "cache/data/digits")),
    ],
)
def test_a_file_where_a_folder_should_be_is_named_and_removing_it_helps(
    ask: Command, finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tried: Tried, place: str
) -> None:
    names = {"runs/clean": only(finished.runs, "clean-*").name, "runs/attack": only(finished.runs, "digits-*").name}
    obstacle = tmp_path / ("runs/" + names[place] if place in names else place)
    monkeypatch.setenv("FALSEWITNESS_CACHE", str(tmp_path / "cache"))
    if place == "cache/data/digits":
        assert ask("data", "prepare", "digits").code == 0
        obstacle = only(tmp_path, "cache/data/digits-*")
        shutil.rmtree(obstacle)
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_text("in the way")
    answer = ask(*RUN)
    if place == "cache/data/digits":
        assert (answer.code, answer.err) == (0, "")
        assert "manifest.json" in answer.out or "Not a directory" in answer.out, "said to be no decoded copy"
    else:
        # The folder that was named on the command line is looked at before anything is done.
        assert_told(answer, str(obstacle.relative_to(tmp_path)), "another folder", code=2 if place == "runs" else 1)
        obstacle.unlink()
        assert ask(*RUN).code == 0
    assert_same_runs(tmp_path / "runs", finished.runs)
    tried("faults", "files in the way")


def test_further_auditors_on_a_full_disk_are_told_and_judge_the_same_with_room(
    ask: Command, finished: Finished, tmp_path: Path, tried: Tried
) -> None:
    shutil.copytree(finished.runs, tmp_path / "runs")
    attack = only(tmp_path / "runs", "digits-*")
    before = vouched_for(tmp_path / "runs")
    words = ("evaluate", attack.relative_to(tmp_path), "--auditor", "gradcam")
    for size, file in ((1_000, "spec.yaml"), (2_000, "steps.jsonl"), (500_000, "maps.npz")):
        with files_of_at_most(size):
            assert_told(ask(*words), file, "File too large; make room")
        assert {file.name for file in attack.glob("evaluations/*/*")} == {".lock"}
        tried("faults", "failed writes")
    assert ask(*words).code == 0
    assert before.items() <= vouched_for(tmp_path / "runs").items()
    judged, run = (
        json.loads(only(attack, pattern).read_text()) for pattern in ("evaluations/*/result.json", "result.json")
    )
    assert judged["measurements"] == run["measurements"]


@pytest.mark.parametrize("words", [("--help",), ("list",), ("show", "digits/badnets")])
def test_output_that_cannot_be_written_is_told_in_a_line(tmp_path: Path, tried: Tried, words: tuple[str, ...]) -> None:
    program = Path(sys.executable).with_name("falsewitness")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [program, *words],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert_told(Answer(done.returncode, "", done.stderr), "standard output", "No space left on device; make room")
    tried("faults", "failed writes")
