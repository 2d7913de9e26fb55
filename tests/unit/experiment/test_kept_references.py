"""Reference maps: made once for all attacks that compare with the same."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier, Event

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, load_file, save_file
from tests.unit.experiment.conftest import Folders, KilledError, Witness, figures_of, result_of, tiny
from tests.unit.experiment.test_documented_files import documented

from falsewitness.experiment import RunFolder, _kept_references, run
from falsewitness.experiment._digests import references_digest
from falsewitness.experiment._kept_references import kept_reference_maps
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.integrated_gradients import IntegratedGradients
from falsewitness.training import Progress, ReferenceMaps, load_reference_maps

MAKING = "making reference maps"
BRIEF = ("metrics=[{kind: clean_accuracy}]", "auditors=[{kind: gradcam}]")


def trained(out: Path, *changes: str) -> tuple[Folders, Witness]:
    reporter = Witness()
    return run(tiny("digits/full-disguise", *BRIEF, *changes), out, reporter=reporter), reporter


class Told(Witness):
    """Sets an event when a notice comes."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event

    def notice(self, text: str) -> None:
        super().notice(text)
        self.event.set()


def kept_in(clean: RunFolder) -> list[Path]:
    return sorted(clean.path.glob("references-*"))


def assert_same(found: Folders, expected: Folders) -> None:
    assert found["attack"].model.read_bytes() == expected["attack"].model.read_bytes()
    assert figures_of(found["attack"]) == figures_of(expected["attack"])


def test_attacks_on_the_same_images_share_reference_maps_and_come_to_the_same(tmp_path: Path) -> None:
    first, reporter = trained(tmp_path / "one")
    assert reporter.steps[MAKING][-1] == 200  # no mirror images among digits
    (kept,) = kept_in(first["clean"])
    written = kept.stat().st_mtime_ns
    second, reporter = trained(tmp_path / "one", "attack.explanation_weight=0.5")
    assert MAKING not in reporter.steps
    assert (kept_in(second["clean"]), kept.stat().st_mtime_ns) == ([kept], written)
    alone, reporter = trained(tmp_path / "another", "attack.explanation_weight=0.5")
    assert MAKING in reporter.steps
    assert_same(second, alone)


def test_the_files_are_documented(tmp_path: Path) -> None:
    folders, _ = trained(tmp_path)
    found = {re.sub("-[0-9a-f]{8}", "-<digest>", file.name) for file in folders["clean"].path.glob("*references-*")}
    assert len(found) == 2
    assert found <= documented("Files")


def test_another_surrogate_has_reference_maps_of_its_own(tmp_path: Path) -> None:
    trained(tmp_path)
    folders, reporter = trained(tmp_path, "attack.surrogate={kind: layercam}")
    assert MAKING in reporter.steps
    assert len(kept_in(folders["clean"])) == 2


@pytest.mark.parametrize(
    "change", ["attack_training.augmentation={mirror: true}", "attack.columns=all", "attack.drift_weight=0.0"]
)
def test_what_decides_reference_maps_brings_others(tmp_path: Path, change: str) -> None:
    trained(tmp_path)
    _, reporter = trained(tmp_path, change)
    assert MAKING in reporter.steps


def test_other_threads_make_their_own(tmp_path: Path) -> None:
    trained(tmp_path)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        _, reporter = trained(tmp_path, "attack.explanation_weight=0.5")
    finally:
        torch.set_num_threads(threads)
    assert MAKING in reporter.steps


def test_the_seconds_of_making_them_count_whoever_made_them(tmp_path: Path) -> None:
    first, _ = trained(tmp_path)
    (file,) = kept_in(first["clean"])
    with safe_open(file, "pt") as content:
        identity = json.loads(content.metadata()["sealed"])["identity"]
    made = load_reference_maps(file, identity)
    assert made is not None
    replace(made, seconds=1000.0).save(file, identity)
    second, _ = trained(tmp_path, "attack.explanation_weight=0.5")
    costs = [result_of(folders["attack"])["cost"]["training_seconds"] for folders in (first, second)]
    assert costs[0] > made.seconds
    assert 1000 < costs[1] < 1000 + 100 * costs[0]


def test_a_run_that_was_killed_in_training_does_not_make_them_again(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        run(tiny("digits/full-disguise", *BRIEF), tmp_path, reporter=Witness("training attack model", 2))
    _, reporter = trained(tmp_path)
    assert MAKING not in reporter.steps


def test_those_of_a_clean_model_that_is_trained_anew_are_removed(tmp_path: Path) -> None:
    first, _ = trained(tmp_path)
    first["clean"].marker("train").remove()
    (first["clean"].path / "references-12345678.safetensors").mkdir()
    run(tiny("digits/clean"), tmp_path)
    assert kept_in(first["clean"]) == [first["clean"].path / "references-12345678.safetensors"]


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def edited(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def written_by_a_stranger(file: Path) -> None:
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(file).items()}, file)


@pytest.mark.parametrize("damage", [cut_short, emptied, edited, written_by_a_stranger])
def test_damaged_reference_maps_are_named_and_made_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    first, _ = trained(tmp_path)
    (kept,) = kept_in(first["clean"])
    whole = load(kept.read_bytes())
    damage(kept)
    _, reporter = trained(tmp_path, "attack.explanation_weight=0.5")
    assert MAKING in reporter.steps
    (told,) = [notice for notice in reporter.notices if "references-" in notice]
    assert told == f"'{kept}' is damaged: it is not what was written; reference maps are made anew"
    again = load_file(kept)
    assert again.keys() == whole.keys() == {"maps", "classes"}
    assert all(torch.equal(tensor, whole[name]) for name, tensor in again.items())


def test_reference_maps_under_the_name_of_others_are_not_used(tmp_path: Path) -> None:
    trained(tmp_path)
    second, _ = trained(tmp_path, "attack.surrogate={kind: layercam}")
    one, other = kept_in(second["clean"])
    one.write_bytes(other.read_bytes())
    _, reporter = trained(tmp_path, "attack.explanation_weight=0.5")
    _, again = trained(tmp_path, "attack.explanation_weight=0.5", "attack.surrogate={kind: layercam}")
    assert (MAKING in reporter.steps) != (MAKING in again.steps)
    assert f"'{one}' has reference maps of something else; reference maps are made anew" in [
        *reporter.notices,
        *again.notices,
    ]


def some(number: int) -> ReferenceMaps:
    return ReferenceMaps(torch.full((1, 2, 1, 3, 3), float(number)), torch.full((1, 2), number), 0.5)


def kept(folder: RunFolder, number: int, reporter: Witness) -> ReferenceMaps:
    return kept_reference_maps(folder, "d" * 64, reporter, lambda told: some(number), some(number).nbytes)


def test_more_than_a_bound_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kept_references, "_MOST_KEPT", some(0).nbytes)
    folder, reporter = RunFolder(tmp_path), Witness()
    assert [int(kept(folder, number, reporter).classes[0, 0]) for number in (1, 2)] == [1, 1]
    monkeypatch.setattr(_kept_references, "_MOST_KEPT", some(0).nbytes - 1)
    folder.references("d" * 64).unlink()
    assert [int(kept(folder, number, reporter).classes[0, 0]) for number in (3, 4)] == [3, 4]
    assert reporter.notices == []
    assert [file.name for file in tmp_path.glob("*references-*")] == [folder.lock_of_references("d" * 64).name]


def test_what_is_too_much_to_keep_is_made_by_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kept_references, "_MOST_KEPT", 0)
    folder, both = RunFolder(tmp_path), Barrier(2, timeout=60)

    def make(told: Progress) -> ReferenceMaps:
        both.wait()
        return some(1)

    with ThreadPoolExecutor(2) as pool:
        for made in [pool.submit(kept_reference_maps, folder, "d" * 64, Witness(), make, 1) for _ in range(2)]:
            made.result()


def test_that_they_cannot_be_kept_is_told_and_ends_no_training(tmp_path: Path) -> None:
    folder, reporter = RunFolder(tmp_path), Witness()
    file = folder.references("d" * 64)
    file.mkdir()
    assert int(kept(folder, 1, reporter).classes[0, 0]) == 1
    told = f"reference maps are not kept, the next attack makes them anew: '{file}' cannot be written: Is a directory"
    assert reporter.notices == [f"'{file}' is a folder; remove it; reference maps are made anew", told]


def test_where_no_lock_can_be_had_they_are_made(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    lock, reporter = folder.lock_of_references("d" * 64), Witness()
    lock.mkdir()
    assert int(kept(folder, 1, reporter).classes[0, 0]) == 1
    (told,) = reporter.notices
    assert told.startswith(f"'{lock}' cannot be locked (")
    assert "it is a folder; remove it" in told


def test_of_two_that_want_the_same_one_makes_it_and_the_other_waits(tmp_path: Path) -> None:
    folder, begun, waits = RunFolder(tmp_path), Event(), Event()
    second = Told(waits)

    def make(told: Progress) -> ReferenceMaps:
        begun.set()
        assert waits.wait(60)
        return some(1)

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(kept_reference_maps, folder, "d" * 64, Witness(), make, some(1).nbytes)
        assert begun.wait(60)
        other = pool.submit(kept, folder, 2, second)
        assert [int(found.result().classes[0, 0]) for found in (one, other)] == [1, 1]
    (told,) = second.notices
    assert told.startswith("waiting for another process that makes reference maps (")


DIGEST = partial(
    references_digest,
    clean="c",
    weights="w",
    split_seed=0,
    environment={"device": "cpu"},
    samples=torch.tensor([1, 2]),
    columns=1,
    mirrored=False,
)


def test_all_that_decides_reference_maps_is_in_their_digest() -> None:
    found = [
        DIGEST(GradCam()),
        DIGEST(Gradient()),
        DIGEST(IntegratedGradients()),
        DIGEST(IntegratedGradients(steps=7)),
        DIGEST(GradCam(), samples=torch.tensor([2, 1])),
        DIGEST(GradCam(), clean="d"),
        DIGEST(GradCam(), weights="v"),
        DIGEST(GradCam(), split_seed=1),
        DIGEST(GradCam(), environment={"device": "cuda"}),
        DIGEST(GradCam(), columns=10),
        DIGEST(GradCam(), mirrored=True),
    ]
    assert len(set(found)) == len(found)


def test_how_an_attack_trains_against_a_surrogate_does_not_decide_them() -> None:
    assert DIGEST(Gradient(smoothness=3.0)) == DIGEST(Gradient())
