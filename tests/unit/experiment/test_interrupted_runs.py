"""Runs that are killed or diverge: what is kept, what is said, and how they go on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.unit.experiment.conftest import Folders, KilledError, Witness, figures_of, result_of, times_of, tiny, touched

from falsewitness.core import InputError, RunFailedError
from falsewitness.experiment import ROLES, Role, RunFolder, Spec, Workplace, run

TOO_FAST = ("learning_rate=1000", "weight_decay=1.0")
LONG = ("clean_training.epochs=2", "attack_training.epochs=3", "metrics=[{kind: clean_accuracy}]")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return run(tiny("digits/full-disguise", *LONG), tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize(
    ("role", "kill_at", "goes_on_from"),
    [("clean", 6, 4), ("control", 3, 0), ("attack", 1, 0), ("attack", 4, 0), ("attack", 6, 4), ("attack", 12, 8)],
)
def test_a_run_that_was_killed_goes_on_and_ends_with_equal_bits(
    undisturbed: Folders,
    tmp_path: Path,
    role: Role,
    kill_at: int,
    goes_on_from: int,
) -> None:
    spec, label = tiny("digits/full-disguise", *LONG), f"training {role} model"
    for done in ROLES[: ROLES.index(role)]:
        shutil.copytree(undisturbed[done].path, tmp_path / undisturbed[done].path.name)
    with pytest.raises(KilledError):
        run(spec, tmp_path, reporter=Witness(label, kill_at))
    broken = RunFolder(tmp_path / undisturbed[role].path.name)
    assert not broken.model.exists()
    assert not broken.result.exists()
    assert broken.checkpoint.exists() == (goes_on_from > 0)
    reporter = Witness()
    folders = run(spec, tmp_path, reporter=reporter)
    assert reporter.steps[label][0] == goes_on_from + 1
    for name, folder in folders.items():
        assert folder.model.read_bytes() == undisturbed[name].model.read_bytes()
        assert folder.steps.read_bytes() == undisturbed[name].steps.read_bytes()
        assert figures_of(folder) == figures_of(undisturbed[name])
        assert not folder.checkpoint.exists()


def test_a_run_that_was_killed_in_evaluation_is_evaluated_anew(
    mine: Folders,
) -> None:
    expected = figures_of(mine["attack"])
    mine["attack"].marker("evaluate").remove()
    mine["attack"].result.unlink()
    with pytest.raises(KilledError):
        run(tiny("digits/red-herring"), mine["attack"].path.parent, reporter=Witness("auditing with gradient", 3))
    assert not mine["attack"].result.exists()
    run(tiny("digits/red-herring"), mine["attack"].path.parent)
    assert figures_of(mine["attack"]) == expected


def test_a_damaged_checkpoint_is_told_and_removing_it_helps(
    tmp_path: Path,
) -> None:
    spec = tiny("digits/clean", "clean_training.epochs=2")
    with pytest.raises(KilledError):
        run(spec, tmp_path, reporter=Witness("training clean model", 6))
    checkpoint = next(tmp_path.glob("clean-*/checkpoint.safetensors"))
    checkpoint.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"is damaged .*; remove it to begin this training anew"):
        run(spec, tmp_path)
    checkpoint.unlink()
    assert result_of(run(spec, tmp_path)["clean"])["status"] == "done"


def test_a_training_that_diverges_fails_alone_and_says_why(mine: Folders, at_work: Callable[[Spec], Workplace]) -> None:
    before, out = times_of(*mine.values()), mine["attack"].path.parent
    spec = tiny("digits/red-herring", *(f"attack_training.{change}" for change in TOO_FAST))
    with pytest.raises(
        RunFailedError, match=r"control model of 'digits/red-herring' diverged: the .* finite"
    ) as caught:
        run(spec, out)
    assert "\n" not in str(caught.value)
    diverged = next(folder for folder in out.glob("control-*") if folder != mine["control"].path)
    result = result_of(RunFolder(diverged))
    assert result["status"] == "diverged"
    assert result["reason"] in str(caught.value)
    assert result["measurements"] == []
    work = at_work(spec)
    assert work.folder("control").path.name == diverged.name
    assert (result["train_digest"], result["eval_digest"]) == (work.digest("control"), work.eval_digest("control"))
    assert not RunFolder(diverged).model.exists()
    assert touched(before, *mine.values()) == set()


def test_a_failure_is_never_kept_as_a_result(tmp_path: Path) -> None:
    spec = tiny("digits/clean", *(f"clean_training.{change}" for change in TOO_FAST))
    for _ in range(2):
        reporter = Witness()
        with pytest.raises(RunFailedError, match="diverged"):
            run(spec, tmp_path, reporter=reporter)
        assert reporter.steps["training clean model"]


def test_a_model_whose_answers_are_not_finite_has_diverged_even_if_its_weights_are(tmp_path: Path) -> None:
    with pytest.raises(
        RunFailedError, match=r"diverged: the answers to validation images were not finite after step 3"
    ):
        run(tiny("digits/clean", *(f"clean_training.{change}" for change in TOO_FAST)), tmp_path)
    (folder,) = map(RunFolder, tmp_path.glob("clean-*"))
    assert result_of(folder)["status"] == "diverged"
    assert not folder.model.exists()


def test_the_last_good_epoch_of_a_diverging_training_is_kept_and_named(tmp_path: Path) -> None:
    training = ("clean_training.epochs=3", "clean_training.learning_rate=1000")
    with pytest.raises(
        RunFailedError, match=r"diverged: the weights were not finite after step 7 of 12 \(epoch 1\)"
    ) as caught:
        run(tiny("digits/clean", *training), tmp_path)
    checkpoint = next(tmp_path.glob("clean-*/checkpoint.safetensors"))
    assert f"The last good epoch is kept in '{checkpoint}'" in str(caught.value)
    assert all(tensor.isfinite().all() for tensor in load_file(checkpoint).values())
