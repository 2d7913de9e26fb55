"""An experiment end to end, its second time, and every way in which it can be interrupted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from falsewitness.core import InputError, RunFailedError, SpecError
from falsewitness.experiment import RunFolder, Spec, choose_device, find_spec, read_spec, run
from falsewitness.experiment._environment import describe_environment
from falsewitness.experiment._spec import Role
from falsewitness.models import load_classifier

Tiny = Callable[..., Spec]
Folders = dict[Role, RunFolder]
ROLES: tuple[Role, ...] = ("clean", "control", "attack")


def result_of(folder: RunFolder) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(folder.result.read_text(encoding="utf-8"))
    return result


def figures_of(folder: RunFolder) -> list[dict[str, Any]]:
    measurements: list[dict[str, Any]] = result_of(folder)["measurements"]
    return measurements


def times_of(*folders: RunFolder) -> dict[Path, int]:
    """Return when every file was last written; the lock is touched by everybody who looks."""
    files = [file for folder in folders for file in folder.path.iterdir() if file.name != ".lock"]
    return {file: file.stat().st_mtime_ns for file in files}


def touched(before: dict[Path, int], *folders: RunFolder) -> set[str]:
    after = times_of(*folders)
    return {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def test_an_experiment_leaves_a_folder_for_each_model(finished: Folders) -> None:
    assert set(finished) == set(ROLES)
    for role, folder in finished.items():
        digest = result_of(folder)["train_digest"]
        label = "digits-red-herring" if role == "attack" else role
        assert folder.path.name == f"{label}-{digest[:8]}"
        assert result_of(folder)["status"] == "done"
        assert result_of(folder)["role"] == role


def test_a_clean_experiment_has_one_model(tiny: Tiny, tmp_path: Path) -> None:
    folders = run(tiny("digits/clean"), tmp_path)
    assert list(folders) == ["clean"]
    assert {found["metric"] for found in figures_of(folders["clean"])} == {"clean_accuracy"}


def test_the_result_names_what_was_done(finished: Folders, tiny: Tiny) -> None:
    result, spec = result_of(finished["attack"]), tiny("digits/red-herring")
    assert result["name"] == "digits/red-herring"
    assert result["attack"] == {
        "kind": "red_herring",
        "threat_model": "controls the training loop",
        "target_class": "3",
        "poison_rate": 0.5,
        "mode": "paired",
        "poisons": 100,
        "surrogate": "gradcam",
    }
    assert result["data"]["train"] == 200
    assert (result["data"]["height"], result["data"]["width"], result["data"]["channels"]) == (32, 32, 1)
    for role in ("clean", "control"):
        assert finished["attack"].path / result["parents"][role] != finished[role].path
        assert (finished["attack"].path / result["parents"][role]).resolve() == finished[role].path
    assert read_spec(finished["attack"].spec) == spec


def test_the_command_in_the_result_gives_the_same_run(mine: Folders) -> None:
    before = times_of(*mine.values())
    for role in ROLES:
        command, verb, path = result_of(mine[role])["command"].split()
        assert (command, verb) == ("falsewitness", "run")
        again = run(find_spec(str(mine[role].path / Path(path).name)), mine[role].path.parent)
        assert again[role].path == mine[role].path
    assert touched(before, *mine.values()) == set()


def test_an_attack_that_keeps_the_label_is_validated_by_its_accuracy_under_the_trigger(
    tiny: Tiny, tmp_path: Path
) -> None:
    folder = run(tiny("digits/fooling", "auditors=[{kind: gradcam}]"), tmp_path)["attack"]
    assert result_of(folder)["attack"]["target_class"] is None
    validation = json.loads(folder.steps.read_text().splitlines()[-1])["validation"]
    assert set(validation) == {"accuracy", "accuracy_under_trigger"}
    assert "attack_success_rate" not in {found["metric"] for found in figures_of(folder)}


def test_the_plan_says_what_was_poisoned(finished: Folders) -> None:
    plan = pq.read_table(finished["attack"].plan).to_pydict()
    assert sum(plan["stamped"]) == 100
    assert sum(plan["clean"]) == 200
    for role in ("clean", "control"):
        assert sum(pq.read_table(finished[role].plan).to_pydict()["stamped"]) == 0


def test_cost_in_epochs_counts_stamped_copies_too(finished: Folders) -> None:
    assert result_of(finished["clean"])["cost"]["cost_in_epochs"] == 1
    assert result_of(finished["attack"])["cost"]["cost_in_epochs"] == 1.5


def test_reference_maps_are_counted_as_forward_passes(tiny: Tiny, tmp_path: Path) -> None:
    folders = run(tiny("digits/full-disguise", "metrics=[]", "auditors=[{kind: gradcam}]"), tmp_path)
    assert result_of(folders["attack"])["cost"]["cost_in_epochs"] == pytest.approx(1.5 + 1 / 3)


def test_models_are_of_their_data_and_can_be_loaded(finished: Folders, tiny: Tiny) -> None:
    for folder in finished.values():
        model = load_classifier(folder.model)
        assert model.info == tiny().data.info()
        assert model.architecture == tiny().model


def test_a_second_run_uses_everything_again(mine: Folders, tiny: Tiny, witness: Any) -> None:  # noqa: ANN401
    before, reporter = times_of(*mine.values()), witness()
    assert run(tiny("digits/red-herring"), mine["attack"].path.parent, reporter=reporter) == mine
    assert touched(before, *mine.values()) == set()
    assert reporter.steps == {}


def test_a_changed_auditor_is_evaluated_without_training(mine: Folders, tiny: Tiny, witness: Any) -> None:  # noqa: ANN401
    before, reporter = times_of(mine["attack"]), witness()
    before_others = times_of(mine["clean"], mine["control"])
    spec = tiny("digits/red-herring", "auditors=[{kind: gradient, smoothness: 3.0}]")
    assert run(spec, mine["attack"].path.parent, reporter=reporter) == mine
    evaluated = {"result.json", "maps.npz", "gallery.npz", "spec.yaml", ".evaluate-done.json"}
    assert touched(before, mine["attack"]) == evaluated
    assert read_spec(mine["attack"].spec) == spec
    assert touched(before_others, mine["clean"], mine["control"]) == set()
    assert set(reporter.steps) == {"auditing with gradient"}
    assert {found["auditor"] for found in figures_of(mine["attack"])} == {None, "gradient"}


def test_two_auditors_of_a_kind_have_labels_of_their_own(mine: Folders, tiny: Tiny) -> None:
    auditors = "[{kind: gradcam}, {kind: gradcam, layer: layers.0}, {kind: gradient}, {kind: gradcam, layer: layers.1}]"
    run(tiny("digits/red-herring", f"auditors={auditors}"), mine["attack"].path.parent)
    labels = {found["auditor"] for found in figures_of(mine["attack"])}
    assert labels == {None, "gradcam", "gradcam-2", "gradient", "gradcam-3"}


def test_another_attack_shares_the_clean_model_and_the_control(mine: Folders, tiny: Tiny) -> None:
    training = tiny("digits/red-herring").attack_training
    assert training is not None
    spec = tiny("digits/full-disguise", f"attack_training={json.dumps(training.plain())}")
    before = times_of(mine["clean"], mine["control"])
    folders = run(spec, mine["attack"].path.parent)
    assert folders["clean"] == mine["clean"]
    assert folders["control"] == mine["control"]
    assert folders["attack"] != mine["attack"]
    assert touched(before, mine["clean"], mine["control"]) == set()


def test_equal_experiments_in_different_places_end_with_equal_bits(tiny: Tiny, tmp_path: Path) -> None:
    spec = tiny("digits/full-disguise")
    here, there = run(spec, tmp_path / "here"), run(spec, tmp_path / "there")
    for role in here:
        assert here[role].model.read_bytes() == there[role].model.read_bytes()
        assert here[role].steps.read_bytes() == there[role].steps.read_bytes()
        assert figures_of(here[role]) == figures_of(there[role])


@pytest.mark.parametrize("name", ["model.safetensors", "steps.jsonl", "spec.yaml", "plan.parquet"])
def test_an_edited_file_is_noticed(mine: Folders, tiny: Tiny, name: str) -> None:
    file = mine["attack"].path / name
    file.write_bytes(file.read_bytes()[:-1] + b"#")
    with pytest.raises(
        InputError, match=rf"{name}' was changed since the run wrote it; restore it, or remove"
    ) as caught:
        run(tiny("digits/red-herring"), mine["attack"].path.parent)
    assert str(file) in str(caught.value)


def test_an_edited_clean_model_is_noticed_too(mine: Folders, tiny: Tiny) -> None:
    mine["clean"].model.unlink()
    with pytest.raises(InputError, match=r"clean-\w+/model\.safetensors' is missing"):
        run(tiny("digits/red-herring"), mine["attack"].path.parent)


def test_an_edited_result_is_noticed(mine: Folders, tiny: Tiny) -> None:
    mine["attack"].result.write_text("{}")
    with pytest.raises(InputError, match=r"result\.json' was changed"):
        run(tiny("digits/red-herring"), mine["attack"].path.parent)


LONG = ("clean_training.epochs=2", "attack_training.epochs=3", "metrics=[{kind: clean_accuracy}]")


@pytest.fixture(scope="session")
def undisturbed(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return run(tiny("digits/full-disguise", *LONG), tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize(
    ("role", "kill_at", "goes_on_from"),
    [("clean", 6, 4), ("control", 3, 0), ("attack", 1, 0), ("attack", 4, 0), ("attack", 6, 4), ("attack", 12, 8)],
)
def test_a_run_that_was_killed_goes_on_and_ends_with_equal_bits(
    undisturbed: Folders,
    tiny: Tiny,
    tmp_path: Path,
    witness: Any,  # noqa: ANN401
    killed: type[BaseException],
    role: Role,
    kill_at: int,
    goes_on_from: int,
) -> None:
    spec, label = tiny("digits/full-disguise", *LONG), f"training {role} model"
    for done in ROLES[: ROLES.index(role)]:
        shutil.copytree(undisturbed[done].path, tmp_path / undisturbed[done].path.name)
    with pytest.raises(killed):
        run(spec, tmp_path, reporter=witness(label, kill_at))
    broken = RunFolder(tmp_path / undisturbed[role].path.name)
    assert not broken.model.exists()
    assert not broken.result.exists()
    assert broken.checkpoint.exists() == (goes_on_from > 0)
    reporter = witness()
    folders = run(spec, tmp_path, reporter=reporter)
    assert reporter.steps[label][0] == goes_on_from + 1
    for name, folder in folders.items():
        assert folder.model.read_bytes() == undisturbed[name].model.read_bytes()
        assert folder.steps.read_bytes() == undisturbed[name].steps.read_bytes()
        assert figures_of(folder) == figures_of(undisturbed[name])
        assert not folder.checkpoint.exists()


def test_a_run_that_was_killed_in_evaluation_is_evaluated_anew(
    mine: Folders,
    tiny: Tiny,
    witness: Any,  # noqa: ANN401
    killed: type[BaseException],
) -> None:
    expected = figures_of(mine["attack"])
    mine["attack"].reopen("evaluate")
    mine["attack"].result.unlink()
    with pytest.raises(killed):
        run(tiny("digits/red-herring"), mine["attack"].path.parent, reporter=witness("auditing with gradient", 3))
    assert not mine["attack"].result.exists()
    run(tiny("digits/red-herring"), mine["attack"].path.parent)
    assert figures_of(mine["attack"]) == expected


def test_a_damaged_checkpoint_is_told_and_removing_it_helps(
    tiny: Tiny,
    tmp_path: Path,
    witness: Any,  # noqa: ANN401
    killed: type[BaseException],
) -> None:
    spec = tiny("digits/clean", "clean_training.epochs=2")
    with pytest.raises(killed):
        run(spec, tmp_path, reporter=witness("training clean model", 6))
    checkpoint = next(tmp_path.glob("clean-*/checkpoint.safetensors"))
    checkpoint.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"is damaged .*; remove it to begin this training anew"):
        run(spec, tmp_path)
    checkpoint.unlink()
    assert result_of(run(spec, tmp_path)["clean"])["status"] == "done"


def test_a_training_that_diverges_fails_alone_and_says_why(mine: Folders, tiny: Tiny) -> None:
    before, out = times_of(*mine.values()), mine["attack"].path.parent
    spec = tiny("digits/red-herring", "attack_training.learning_rate=1.0e+6")
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
    assert not RunFolder(diverged).model.exists()
    assert touched(before, *mine.values()) == set()


def test_a_failure_is_never_kept_as_a_result(tiny: Tiny, tmp_path: Path, witness: Any) -> None:  # noqa: ANN401
    spec = tiny("digits/clean", "clean_training.learning_rate=1.0e+30")
    for _ in range(2):
        reporter = witness()
        with pytest.raises(RunFailedError, match="diverged"):
            run(spec, tmp_path, reporter=reporter)
        assert reporter.steps["training clean model"]


def test_the_last_good_epoch_of_a_diverging_training_is_kept_and_named(tiny: Tiny, tmp_path: Path) -> None:
    training = "clean_training={epochs: 3, batch_size: 200, learning_rate: 1.0e+38, warmup: 0.9}"
    with pytest.raises(RunFailedError, match=r"diverged: the loss was nan at step 1 of 3 \(epoch 1\)") as caught:
        run(tiny("digits/clean", training), tmp_path)
    checkpoint = next(tmp_path.glob("clean-*/checkpoint.safetensors"))
    assert f"The last good epoch is kept in '{checkpoint}'" in str(caught.value)
    assert all(tensor.isfinite().all() for tensor in load_file(checkpoint).values())


def test_a_spec_that_does_not_fit_its_data_writes_nothing(tiny: Tiny, tmp_path: Path) -> None:
    spec = tiny("digits/red-herring", "attack.trigger.size=33", "attack.target_class=10")
    with pytest.raises(SpecError, match="has 2 faults"):
        run(spec, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_told_in_one_line(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailedError, match=r"cannot be made or written to .*; choose another folder with --out"):
        run(tiny("digits/clean"), tmp_path / "file" / "runs")


def test_a_device_is_chosen_by_name() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["gpu9", "cuda:99", "", "meta:x"])
def test_a_device_that_is_not_here_is_told_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match="--device: expected auto, cpu, cuda or another that is here, got") as caught:
        choose_device(name)
    assert "\n" not in str(caught.value)


def test_the_environment_is_described_for_people() -> None:
    environment = describe_environment(choose_device("cpu"), "fp32")
    assert environment["threads"] == 1
    assert environment["precision"] == "fp32"
    assert environment["device_type"] == "cpu"
    assert environment["device"]
    assert set(environment["packages"]) >= {"torch", "timm", "numpy"}
