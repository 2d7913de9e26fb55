"""An experiment end to end, and its second time."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.unit.experiment.conftest import Folders, Witness, figures_of, result_of, times_of, tiny, touched

from falsewitness.core import InputError, RunFailedError, SpecError
from falsewitness.core.shapes import Images
from falsewitness.experiment import ROLES, choose_device, find_spec, read_spec, run
from falsewitness.experiment._environment import describe_environment
from falsewitness.explainers import Subject
from falsewitness.explainers._input_gradients import Points
from falsewitness.explainers.gradient_shap import GradientShap
from falsewitness.models import load_classifier


def test_an_experiment_leaves_a_folder_for_each_model(finished: Folders) -> None:
    assert set(finished) == set(ROLES)
    for role, folder in finished.items():
        digest = result_of(folder)["train_digest"]
        label = "digits-red-herring" if role == "attack" else role
        assert folder.path.name == f"{label}-{digest[:8]}"
        assert result_of(folder)["status"] == "done"
        assert result_of(folder)["role"] == role


def test_a_clean_experiment_has_one_model(tmp_path: Path) -> None:
    folders = run(tiny("digits/clean"), tmp_path)
    assert list(folders) == ["clean"]
    assert {found["metric"] for found in figures_of(folders["clean"])} == {"clean_accuracy"}


def test_the_result_names_what_was_done(finished: Folders) -> None:
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
        "surrogate_auditor": "gradcam",
    }
    assert result["data"]["train"] == 200
    assert (result["data"]["height"], result["data"]["width"], result["data"]["channels"]) == (32, 32, 1)
    for role in ("clean", "control"):
        assert finished["attack"].path / result["parents"][role] != finished[role].path
        assert (finished["attack"].path / result["parents"][role]).resolve() == finished[role].path
    assert read_spec(finished["attack"].spec) == spec


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ((), "controls the data only"),
        (("attack_training.augmentation.mirror=true",), "controls the training loop"),
        (("attack_training.augmentation.mirror=true", "attack.poison.stamp=stored"), "controls the data only"),
        (("attack.poison.mode=paired",), "controls the training loop"),
    ],
)
def test_the_result_names_what_the_attacker_needs_with_these_settings(
    tmp_path: Path, changes: tuple[str, ...], needed: str
) -> None:
    folders = run(tiny("digits/badnets", "metrics=[]", "auditors=[{kind: gradcam}]", *changes), tmp_path)
    assert result_of(folders["attack"])["attack"]["threat_model"] == needed


def test_a_shape_of_which_nothing_is_left_on_the_maps_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"attack\.target_map: expected one that has an inside .* on maps of 2x2"):
        run(tiny("digits/red-herring", "model.strides=[2, 2, 2, 2]"), tmp_path)
    assert not list(tmp_path.rglob("model.safetensors"))


def test_a_spec_that_does_not_fit_data_at_hand_is_refused_before_training(tmp_path: Path) -> None:
    dataset = tiny("digits/badnets").data.prepare()
    with pytest.raises(SpecError, match=r"attack\.target_class: expected a class from 0 to 9, got 99"):
        run(tiny("digits/badnets", "attack.target_class=99"), tmp_path, dataset=dataset)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("metrics", "made"), [("[{kind: disguise}]", 0), ("[{kind: map_detectability}]", 20)])
def test_maps_of_validation_images_are_made_for_metrics_that_look_at_them(
    tmp_path: Path, metrics: str, made: int
) -> None:
    changes = (f"metrics={metrics}", "auditors=[{kind: gradcam}]", "evaluation.detector_samples=20")
    folder = run(tiny("digits/badnets", *changes), tmp_path)["attack"]
    with np.load(folder.maps, allow_pickle=False) as arrays:
        assert {len(arrays[name]) for name in arrays if "validation" in name} == {made}
        assert len(arrays["gradcam/attacked_clean"]) > 0
    assert {found["metric"] for found in figures_of(folder)} == {metrics[8:-2]}


def test_a_surrogate_that_draws_draws_anew_in_every_step_and_an_auditor_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = GradientShap._points
    drawn: dict[bool, list[tuple[int, int]]] = {True: [], False: []}

    def watched(self: GradientShap, subject: Subject, images: Images, *, training: bool) -> Iterator[Points]:
        taken = list(points(self, subject, images, training=training))
        drawn[training].append((subject.draw, sum(len(part.images) for part in taken)))
        return iter(taken)

    monkeypatch.setattr(GradientShap, "_points", watched)
    surrogate = "{kind: gradient_shap, samples: 5, background: 4, training_samples: 2}"
    changes = (f"attack.surrogate={surrogate}", "attack_training.epochs=2", "attack_training.batch_norm=frozen")
    auditors = "auditors=[{kind: gradient_shap, samples: 5, background: 4}]"
    folder = run(tiny("digits/full-disguise", *changes, auditors, "metrics=[]"), tmp_path)["attack"]
    steps = sum('"step"' in line for line in folder.steps.read_text(encoding="utf-8").splitlines())
    in_steps = [draw for draw, _ in drawn[True]]
    assert sorted(set(in_steps)) == list(range(1, steps + 1))
    assert in_steps == sorted(in_steps), "in turn, over both epochs"
    assert {count for _, count in drawn[True]} == {2}
    assert (0, 5) in drawn[False]


def test_the_command_in_the_result_gives_the_same_run(mine: Folders) -> None:
    before = times_of(*mine.values())
    for role in ROLES:
        command, verb, path, option, out, *device = shlex.split(result_of(mine[role])["command"])
        assert (command, verb, option, device) == ("falsewitness", "run", "--out", ["--device", "cpu"])
        assert Path(path).parent.parent == Path(out)
        again = run(find_spec(str(mine[role].path / Path(path).name)), mine[role].path.parent)
        assert again[role].path == mine[role].path
    assert touched(before, *mine.values()) == set()


def test_an_attack_that_keeps_the_label_is_validated_by_its_accuracy_under_the_trigger(tmp_path: Path) -> None:
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


def test_reference_maps_are_counted_as_forward_passes(tmp_path: Path) -> None:
    folders = run(tiny("digits/full-disguise", "metrics=[]", "auditors=[{kind: gradcam}]"), tmp_path)
    assert result_of(folders["attack"])["cost"]["cost_in_epochs"] == pytest.approx(1.5 + 1 / 3)


def test_reference_maps_by_gradient_are_counted_with_the_pass_back_to_the_pixels(tmp_path: Path) -> None:
    fields = (
        "metrics=[]",
        "auditors=[{kind: gradcam}]",
        "attack.surrogate={kind: gradient}",
        "attack.drift_weight=0.0",
    )
    folders = run(tiny("digits/full-disguise", *fields), tmp_path)
    # Half of the images are stamped; a map in training costs three passes more, the map that is kept two thirds of one.
    assert result_of(folders["attack"])["cost"]["cost_in_epochs"] == pytest.approx(1.5 + 3 * 0.5 + 0.5 * 2 / 3)


def test_the_surrogate_is_found_among_the_auditors_by_all_its_fields(tmp_path: Path) -> None:
    fields = ("metrics=[]", "attack.surrogate={kind: gradcam, layer: layers.1}")
    auditors = "auditors=[{kind: gradcam}, {kind: gradcam, layer: layers.1}]"
    both = run(tiny("digits/full-disguise", *fields, auditors), tmp_path)
    assert result_of(both["attack"])["attack"]["surrogate_auditor"] == "gradcam (layer layers.1)"
    other = run(tiny("digits/full-disguise", *fields, "auditors=[{kind: gradcam}]"), tmp_path)
    assert result_of(other["attack"])["attack"]["surrogate_auditor"] is None


def test_a_surrogate_is_an_auditor_however_it_is_trained_against(tmp_path: Path) -> None:
    fields = ("metrics=[]", "attack.surrogate={kind: gradient, smoothness: 32}")
    found = run(tiny("digits/full-disguise", *fields, "auditors=[{kind: gradcam}, {kind: gradient}]"), tmp_path)
    assert result_of(found["attack"])["attack"]["surrogate_auditor"] == "gradient"


def test_models_are_of_their_data_and_can_be_loaded(finished: Folders) -> None:
    for folder in finished.values():
        model = load_classifier(folder.model)
        assert model.info == tiny().data.info()
        assert model.architecture == tiny().model


def test_a_second_run_uses_everything_again(mine: Folders) -> None:
    before, reporter = times_of(*mine.values()), Witness()
    assert run(tiny("digits/red-herring"), mine["attack"].path.parent, reporter=reporter) == mine
    assert touched(before, *mine.values()) == set()
    assert reporter.steps == {}


def test_a_changed_auditor_is_evaluated_without_training(mine: Folders) -> None:
    before, reporter = times_of(mine["attack"]), Witness()
    before_others = times_of(mine["clean"], mine["control"])
    spec = tiny("digits/red-herring", "auditors=[{kind: gradient, smoothness: 3.0}]")
    assert run(spec, mine["attack"].path.parent, reporter=reporter) == mine
    evaluated = {"result.json", "values.npz", "maps.npz", "gallery.npz", "spec.yaml", ".evaluate-done.json"}
    assert touched(before, mine["attack"]) == evaluated
    assert read_spec(mine["attack"].spec) == spec
    assert touched(before_others, mine["clean"], mine["control"]) == set()
    assert set(reporter.steps) == {"testing attack model", "auditing with gradient"}
    per_model = reporter.steps["testing attack model"]
    assert (len(per_model), per_model[-1]) == (5, 5 * 359), "three without the trigger, two with it"
    assert {found["auditor"] for found in figures_of(mine["attack"])} == {None, "gradient"}


def test_two_auditors_of_a_kind_have_labels_of_their_own(mine: Folders) -> None:
    auditors = "[{kind: gradcam}, {kind: gradcam, layer: layers.0}, {kind: gradient}, {kind: gradcam, layer: layers.1}]"
    run(tiny("digits/red-herring", f"auditors={auditors}"), mine["attack"].path.parent)
    labels = {found["auditor"] for found in figures_of(mine["attack"])}
    assert labels == {None, "gradcam", "gradcam (layer layers.0)", "gradient", "gradcam (layer layers.1)"}


def test_another_attack_shares_the_clean_model_and_the_control(mine: Folders) -> None:
    training = tiny("digits/red-herring").attack_training
    assert training is not None
    spec = tiny("digits/full-disguise", f"attack_training={json.dumps(training.plain())}")
    before = times_of(mine["clean"], mine["control"])
    folders = run(spec, mine["attack"].path.parent)
    assert folders["clean"] == mine["clean"]
    assert folders["control"] == mine["control"]
    assert folders["attack"] != mine["attack"]
    made = touched(before, mine["clean"], mine["control"])
    assert {name.partition("-")[0] for name in made} == {"references", ".references"}


def test_equal_experiments_in_different_places_end_with_equal_bits(tmp_path: Path) -> None:
    spec = tiny("digits/full-disguise")
    here, there = run(spec, tmp_path / "here"), run(spec, tmp_path / "there")
    for role in here:
        assert here[role].model.read_bytes() == there[role].model.read_bytes()
        assert here[role].steps.read_bytes() == there[role].steps.read_bytes()
        assert figures_of(here[role]) == figures_of(there[role])


@pytest.mark.parametrize("name", ["model.safetensors", "steps.jsonl", "spec.yaml", "plan.parquet"])
def test_an_edited_file_is_noticed(mine: Folders, name: str) -> None:
    file = mine["attack"].path / name
    file.write_bytes(file.read_bytes()[:-1] + b"#")
    with pytest.raises(
        InputError, match=rf"{name}' was changed since the run wrote it; restore it, or remove"
    ) as caught:
        run(tiny("digits/red-herring"), mine["attack"].path.parent)
    assert str(file) in str(caught.value)


def test_an_edited_clean_model_is_noticed_too(mine: Folders) -> None:
    mine["clean"].model.unlink()
    with pytest.raises(InputError, match=r"clean-\w+/model\.safetensors' is missing"):
        run(tiny("digits/red-herring"), mine["attack"].path.parent)


def test_an_edited_result_is_noticed(mine: Folders) -> None:
    mine["attack"].result.write_text("{}")
    with pytest.raises(InputError, match=r"result\.json' was changed"):
        run(tiny("digits/red-herring"), mine["attack"].path.parent)


def test_a_spec_that_does_not_fit_its_data_writes_nothing(tmp_path: Path) -> None:
    spec = tiny("digits/red-herring", "attack.trigger.size=33", "attack.target_class=10")
    with pytest.raises(SpecError, match="has 2 faults"):
        run(spec, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
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
