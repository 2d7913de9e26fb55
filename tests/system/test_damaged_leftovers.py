"""Damage to what an unfinished run left, and to decoded data: noticed, named, and never used."""

import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Tried
from tests.system.conftest import Begin, Command, Finished, end_of, only, until
from tests.system.damage import DAMAGES, Damage, cut, edited, emptied, follow, missing
from tests.system.runs import RUN, assert_same_runs

from falsewitness.experiment import find_spec


@pytest.fixture(scope="session")
def unfinished(begin: Begin, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folders of an attack that was killed in its training."""
    folder = tmp_path_factory.mktemp("unfinished")
    for role in ("clean", "control"):
        whole = only(finished.runs, f"{role}-*")
        shutil.copytree(whole, folder / "runs" / whole.name)
    process = begin(folder, *RUN)
    until(lambda: any(folder.glob("runs/digits-*/checkpoint.safetensors")), process)
    process.kill()
    end_of(process)
    assert not any(folder.glob("runs/digits-*/model.safetensors"))
    return folder / "runs"


@pytest.fixture
def attack(unfinished: Path, tmp_path: Path) -> Path:
    """The folder of that attack, to do with as a test likes."""
    shutil.copytree(unfinished, tmp_path / "runs")
    return only(tmp_path / "runs", "digits-*")


def moved_on(file: Path) -> None:
    """Change the step that a checkpoint says it was written at."""
    content = bytearray(file.read_bytes())
    place = content.index(b"step") + len(b'step\\\\\\": ')
    assert chr(content[place]) in "0123456789"
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("steps.jsonl", edited),
        *(pytest.param("steps.jsonl", damage, marks=pytest.mark.slow) for damage in (cut, emptied, missing)),
        ("checkpoint.safetensors", edited),
        *(
            pytest.param("checkpoint.safetensors", damage, marks=pytest.mark.slow)
            for damage in (cut, emptied, moved_on)
        ),
    ],
)
def test_what_a_training_would_go_on_from_is_named_if_it_was_damaged(
    ask: Command, attack: Path, finished: Finished, tried: Tried, name: str, damage: Damage
) -> None:
    damage(attack / name)
    answer = ask(*RUN)
    assert answer.code == 2
    assert f"'runs/{attack.name}/{name}' " in answer.fault
    follow(answer.fault)
    again = ask(*RUN)
    assert (again.code, again.err) == (0, "")
    assert "training attack model" in again.out
    assert "going on" not in again.out
    assert_same_runs(attack.parent, finished.runs)
    tried("faults", "damaged files")


@pytest.mark.parametrize("damage", [cut, *(pytest.param(damage, marks=pytest.mark.slow) for damage in DAMAGES[1:])])
def test_what_is_made_again_before_a_training_goes_on_may_be_damaged(
    ask: Command, attack: Path, finished: Finished, tried: Tried, damage: Damage
) -> None:
    for name in ("spec.yaml", "env.json", "plan.parquet"):
        damage(attack / name)
        tried("faults", "damaged files")
    answer = ask(*RUN)
    assert (answer.code, answer.err) == (0, "")
    assert "attack model: going on from the last finished epoch" in answer.out
    assert_same_runs(attack.parent, finished.runs)


def test_without_its_checkpoint_a_training_begins_anew(
    ask: Command, attack: Path, finished: Finished, tried: Tried
) -> None:
    missing(attack / "checkpoint.safetensors")
    answer = ask(*RUN)
    assert (answer.code, answer.err) == (0, "")
    assert_same_runs(attack.parent, finished.runs)
    tried("faults", "damaged files")


def _place_of_a_used_row(file: Path) -> int:
    """Where the file has a byte of an image to test on, or of its label; in the manifest, of a hash."""
    size = file.stat().st_size
    if file.suffix == ".json":
        return size - 10
    rows, used = np.load(file), find_spec("digits/badnets").data.prepare().test.rows[0]
    return int(size - (len(rows) - used) * rows[0].nbytes)


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "manifest.json"])
def test_decoded_data_of_which_one_bit_was_flipped_is_named_and_decoded_anew(
    ask: Command, finished: Finished, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tried: Tried, name: str
) -> None:
    monkeypatch.setenv("FALSEWITNESS_CACHE", str(tmp_path / "cache"))
    ask("data", "prepare", "digits")
    file = only(tmp_path, f"cache/data/digits-*/{name}")
    whole, chance = file.read_bytes(), random.Random(3)
    for _ in range(4):
        content = bytearray(whole)
        # Past what describes the numbers; in the manifest, in the hashes.
        content[chance.randrange(len(whole) * 2 // 5, len(whole) - 3)] ^= 1 << chance.randrange(8)
        file.write_bytes(content)
        checked = ask("data", "check", "digits")
        assert checked.code == 1
        # A hash that was changed is like an image that was.
        assert re.match(r"digits: damaged: \S+ is not what was written", checked.out)
        prepared = ask("data", "prepare", "digits")
        assert prepared.code == 0
        assert "is not what was written; decoding " in prepared.out
        assert file.read_bytes() == whole
        tried("faults", "damaged files")
    content = bytearray(whole)
    content[_place_of_a_used_row(file)] ^= 1
    file.write_bytes(content)
    answer = ask(*RUN)
    assert (answer.code, answer.err) == (0, "")
    assert "is not what was written; decoding " in answer.out
    assert_same_runs(tmp_path / "runs", finished.runs)


def test_the_exit_code_of_a_check_tells_whether_the_data_is_whole(
    ask: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tried: Tried
) -> None:
    monkeypatch.setenv("FALSEWITNESS_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b"):
        (tmp_path / "photos" / "train" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("L", (8, 8), 20 * number).save(tmp_path / "photos" / "train" / name / f"{number}.png")
    words = ("image_folder", "--set", "root=photos", "--set", "size=8")
    found = [ask("data", "check", *words)]
    assert ask("data", "prepare", *words).code == 0
    found.append(ask("data", "check", *words))
    (tmp_path / "photos" / "train" / "a" / "0.png").touch()
    found.append(ask("data", "check", *words))
    assert ask("data", "prepare", *words).code == 0
    found.append(ask("data", "check", *words))
    states = [answer.out.split(": ")[1] for answer in found]
    assert list(zip(states, [answer.code for answer in found], strict=True)) == [
        ("absent", 1),
        ("whole", 0),
        ("stale", 1),
        ("whole", 0),
    ]
    tried("faults", "stale data")
