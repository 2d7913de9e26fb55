"""The clean model's answers for training images: made once for all attacks that ask for the same."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.experiment.conftest import Folders, KilledError, Witness, figures_of, tiny
from tests.unit.experiment.test_documented_files import documented

from falsewitness.core import RunFailedError
from falsewitness.experiment import RunFolder, Spec, Workplace, _clean_answers, run
from falsewitness.experiment._digests import answers_digest
from falsewitness.explainers import Explainer
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient

GRADCAM = GradCam()
EXPLAINING = "explaining by the clean model"
BRIEF = ("metrics=[{kind: clean_accuracy}]", "auditors=[{kind: gradcam}]")


def trained(out: Path, *changes: str) -> tuple[Folders, Witness]:
    reporter = Witness()
    return run(tiny("digits/full-disguise", *BRIEF, *changes), out, reporter=reporter), reporter


def kept_in(clean: RunFolder) -> list[Path]:
    return sorted(clean.path.glob("answers-*"))


def assert_same(found: Folders, expected: Folders) -> None:
    assert found["attack"].model.read_bytes() == expected["attack"].model.read_bytes()
    assert figures_of(found["attack"]) == figures_of(expected["attack"])


def test_attacks_on_the_same_images_share_the_answers_and_come_to_the_same(tmp_path: Path) -> None:
    first, reporter = trained(tmp_path / "one")
    assert reporter.steps[EXPLAINING][-1] == 200  # no mirror images among digits
    (kept,) = kept_in(first["clean"])
    assert re.sub("-[0-9a-f]{8}", "-<digest>", kept.name) in documented("Files")
    written = kept.stat().st_mtime_ns
    second, reporter = trained(tmp_path / "one", "attack.explanation_weight=0.5")
    assert EXPLAINING not in reporter.steps
    assert (kept_in(second["clean"]), kept.stat().st_mtime_ns) == ([kept], written)
    alone, reporter = trained(tmp_path / "another", "attack.explanation_weight=0.5")
    assert EXPLAINING in reporter.steps
    assert_same(second, alone)


def test_another_surrogate_has_answers_of_its_own(tmp_path: Path) -> None:
    trained(tmp_path)
    folders, reporter = trained(tmp_path, "attack.surrogate={kind: layercam}")
    assert EXPLAINING in reporter.steps
    assert len(kept_in(folders["clean"])) == 2


def test_a_run_that_was_killed_in_training_does_not_ask_again(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        run(tiny("digits/full-disguise", *BRIEF), tmp_path, reporter=Witness("training attack model", 2))
    _, reporter = trained(tmp_path)
    assert EXPLAINING not in reporter.steps


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
def test_damaged_answers_are_named_and_made_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    first, _ = trained(tmp_path)
    (kept,) = kept_in(first["clean"])
    whole = kept.read_bytes()
    damage(kept)
    _, reporter = trained(tmp_path, "attack.explanation_weight=0.5")
    assert EXPLAINING in reporter.steps
    (told,) = [notice for notice in reporter.notices if "answers-" in notice]
    assert told.startswith(f"'{kept}' is damaged (")
    assert told.endswith("); the clean model's maps are made anew")
    assert load_file(kept).keys() == {"maps", "classes"}
    assert len(kept.read_bytes()) == len(whole)


def test_answers_under_the_name_of_others_are_not_used(tmp_path: Path) -> None:
    trained(tmp_path)
    second, _ = trained(tmp_path, "attack.surrogate={kind: layercam}")
    one, other = kept_in(second["clean"])
    one.write_bytes(other.read_bytes())
    _, reporter = trained(tmp_path, "attack.explanation_weight=0.5")
    _, again = trained(tmp_path, "attack.explanation_weight=0.5", "attack.surrogate={kind: layercam}")
    assert (EXPLAINING in reporter.steps) != (EXPLAINING in again.steps)


def test_more_than_a_bound_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_clean_answers, "_MOST_KEPT", 1000)
    first, _ = trained(tmp_path)
    assert kept_in(first["clean"]) == []


def test_a_folder_in_the_place_of_answers_is_told_in_a_line(tmp_path: Path) -> None:
    first, _ = trained(tmp_path)
    (kept,) = kept_in(first["clean"])
    kept.unlink()
    kept.mkdir()
    with pytest.raises(RunFailedError, match=f"'{kept}' cannot be written: Is a directory") as caught:
        trained(tmp_path, "attack.explanation_weight=0.5")
    assert "\n" not in str(caught.value)


def test_all_that_decides_answers_is_in_their_digest(at_work: Callable[[Spec], Workplace]) -> None:
    work = at_work(tiny("digits/full-disguise"))
    other_images = at_work(tiny("digits/full-disguise", "data.train_limit=150"))
    other_split = at_work(tiny("digits/full-disguise", "data.split_seed=1"))

    def digest(
        at: Workplace = work,
        surrogate: Explainer = GRADCAM,
        weights: str = "w",
        samples: tuple[int, ...] = (1, 2),
        columns: int = 1,
        *,
        mirrored: bool = False,
    ) -> str:
        return answers_digest(
            at.spec,
            at.dataset,
            surrogate,
            weights=weights,
            samples=torch.tensor(samples),
            columns=columns,
            mirrored=mirrored,
        )

    others = [
        digest(other_images),
        digest(other_split),
        digest(surrogate=Gradient()),
        digest(surrogate=Gradient(smoothness=3.0)),
        digest(weights="v"),
        digest(samples=(2, 1)),
        digest(columns=10),
        digest(mirrored=True),
    ]
    assert len({digest(), *others}) == 1 + len(others)
    renamed = at_work(tiny("digits/full-disguise", "attack.explanation_weight=0.5", "seed=3"))
    assert digest(renamed) == digest()
