"""A finished model before further auditors, and a stranger's model."""

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.unit.experiment.conftest import Folders, Witness, figures_of, result_of, tiny

from falsewitness.core import DataInfo, InputError, RunFailedError, SpecError
from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Classes, Images, Maps
from falsewitness.experiment import RunFolder, examine_model, examine_run, read_spec
from falsewitness.experiment._background import background_for
from falsewitness.experiment._spec import Role
from falsewitness.explainers import Explainer, Subject
from falsewitness.explainers.deep_shap import DeepShap
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.gradient_shap import GradientShap
from falsewitness.models import load_classifier, save_classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.report._read import read_run

ON_CPU = ["--device", "cpu"]


class Brightness(Explainer):
    """An explainer that no catalogue knows: the image itself."""

    kind: Literal["brightness"] = "brightness"
    contrast: float = 1.0

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        return Explanation(subject.model(images), self.contrast * images.mean(1))


def auditors_of(folder: RunFolder) -> list[str]:
    return list(dict.fromkeys(found["auditor"] for found in figures_of(folder) if found["auditor"]))


def times(folder: RunFolder) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.path.iterdir() if file.name[0] != "."}


def test_an_explainer_that_no_catalogue_knows_judges_a_finished_run(mine: Folders) -> None:
    before, reporter = times(mine["attack"]), Witness()
    judged = examine_run(mine["attack"], [Brightness(contrast=0.5)], reporter=reporter)
    assert judged.path.parent == mine["attack"].path / "evaluations"
    assert judged.path.name.startswith("gradcam-gradient-brightness-")
    assert auditors_of(judged) == ["gradcam", "gradient", "brightness"]
    audits = {f"auditing with {name}" for name in auditors_of(judged)}
    assert set(reporter.steps) == {"testing attack model"} | audits
    assert {name: time for name, time in times(mine["attack"]).items() if name != "evaluations"} == before
    with np.load(judged.gallery) as found:
        triggered = found["triggered"].astype(np.float32).mean(1) / 255
        np.testing.assert_allclose(found["maps/brightness/attacked/triggered"], 0.5 * triggered, atol=1e-6)


def test_an_explainer_like_shap_compares_with_training_images_and_leaves_maps_of_every_class(mine: Folders) -> None:
    judged = examine_run(mine["attack"], [GradientShap(samples=4, background=3)])
    with np.load(judged.gallery) as found:
        columns = found["columns/gradient_shap/attacked/triggered"]
        predicted = found["predicted/attacked/triggered"]
        maps = found["maps/gradient_shap/attacked/triggered"]
        assert columns.shape[:2] == (len(predicted), 10)
        np.testing.assert_array_equal(columns[np.arange(len(predicted)), predicted], maps)
        assert not any(name.startswith("columns/gradcam") for name in found)
    assert read_run(judged.path).gallery is not None


def test_the_figures_of_the_own_auditors_stay(mine: Folders) -> None:
    judged = examine_run(mine["attack"], [Brightness()])
    own = [found for found in figures_of(judged) if found["auditor"] != "brightness"]
    assert own == figures_of(mine["attack"])


def test_an_auditor_that_the_run_has_already_counts_once(mine: Folders) -> None:
    inner = GradCam(layer="layers.0")
    judged = examine_run(mine["attack"], [GradCam(), inner, Gradient(smoothness=3.0), inner])
    assert auditors_of(judged) == ["gradcam", "gradient", "gradcam (layer layers.0)"]


def test_a_second_examination_uses_the_first(mine: Folders) -> None:
    first = examine_run(mine["attack"], [Brightness()])
    written, reporter = first.result.stat().st_mtime_ns, Witness()
    assert examine_run(mine["attack"], [Brightness()], reporter=reporter) == first
    assert first.result.stat().st_mtime_ns == written
    assert reporter.steps == {}
    assert examine_run(mine["attack"], [Brightness(contrast=2.0)]) != first


def test_an_examination_can_be_reported_like_a_run(mine: Folders) -> None:
    run = read_run(examine_run(mine["attack"], [Brightness()]).path)
    assert run.done
    assert run.result.auditors == ("gradcam", "gradient", "brightness")
    assert (run.folder / run.result.parents["clean"]).resolve() == mine["clean"].path


def test_the_folder_can_be_named_from_within(mine: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine["attack"].path)
    assert examine_run(RunFolder(Path()), [Brightness()]).result.is_file()


@pytest.mark.parametrize("missing", ["spec", "model"])
def test_a_folder_without_a_finished_run_is_refused(mine: Folders, missing: str) -> None:
    getattr(mine["attack"], missing).unlink()
    with pytest.raises(
        InputError,
        match=r"holds no finished run: expected a file .*; name a folder that `falsewitness run` has written",
    ):
        examine_run(mine["attack"], [Brightness()])


def test_a_model_that_was_not_attacked_is_refused(mine: Folders) -> None:
    with pytest.raises(InputError, match="has no attack, so there is no trigger"):
        examine_run(mine["clean"], [Brightness()])
    with pytest.raises(InputError, match="expected an attack's run folder, called 'digits-red-herring-"):
        examine_run(mine["control"], [Brightness()])


def test_nothing_is_trained_for_a_folder_that_was_renamed(mine: Folders) -> None:
    renamed = RunFolder(mine["attack"].path.rename(mine["attack"].path.with_name("renamed")))
    before = sorted(renamed.path.parent.iterdir())
    with pytest.raises(InputError, match="was renamed, or was made by another version or in another precision"):
        examine_run(renamed, [Brightness()])
    assert sorted(renamed.path.parent.iterdir()) == before


@pytest.mark.parametrize("role", ["clean", "control"])
def test_nothing_is_trained_for_a_folder_without_its_parents(mine: Folders, role: Role) -> None:
    shutil.rmtree(mine[role].path)
    with pytest.raises(InputError, match=f"there is no finished {role} model of 'digits/red-herring' in"):
        examine_run(mine["attack"], [Brightness()])
    assert not mine[role].path.exists()


def test_a_model_that_nothing_vouches_for_is_not_judged(mine: Folders) -> None:
    mine["attack"].marker("train").remove()
    expected = (
        r"no finished attack model .*; no '\.train-done\.json' vouches for its files; restore it, or run the spec"
    )
    with pytest.raises(InputError, match=expected):
        examine_run(mine["attack"], [Brightness()])


def test_an_edited_model_is_noticed(mine: Folders) -> None:
    mine["attack"].model.write_bytes(mine["clean"].model.read_bytes())
    with pytest.raises(InputError, match=r"model\.safetensors' was changed"):
        examine_run(mine["attack"], [Brightness()])


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A file with a model of another architecture for the same data."""
    path = tmp_path / "stranger.safetensors"
    model = ConvNet(width=4, strides=(2, 2)).bind(tiny().data.info(), seed=3, mean=(0.3,), std=(0.4,))
    save_classifier(model, path)
    return path


def test_a_strangers_model_is_judged_beside_the_clean_model_of_a_spec(
    mine: Folders,
    stranger: Path,
) -> None:
    reporter, out = Witness(), mine["attack"].path.parent
    judged = examine_model(stranger, tiny("digits/red-herring"), [Brightness()], out, reporter=reporter)
    assert judged.path.parents[1].name.startswith("model-stranger-")
    assert auditors_of(judged) == ["gradcam", "gradient", "brightness"]
    assert "training clean model" not in reporter.steps
    run = read_run(judged.path)
    assert list(run.result.parents) == ["clean"]
    accuracy = {found["name"]: found["value"] for found in figures_of(judged) if found["metric"] == "clean_accuracy"}
    assert accuracy["accuracy"] != accuracy["clean_model_accuracy"]
    assert run.result.train_digest != json.loads(mine["attack"].result.read_text())["train_digest"]


@pytest.mark.parametrize(
    "change", ["attack.trigger.corner=upper_left", "attack.target_class=5", "attack.target_map=cross"]
)
def test_a_strangers_model_is_judged_anew_for_another_attack(mine: Folders, stranger: Path, change: str) -> None:
    out = mine["attack"].path.parent
    first = examine_model(stranger, tiny("digits/red-herring"), [], out)
    other = examine_model(stranger, tiny("digits/red-herring", change), [], out)
    assert other.path != first.path
    assert result_of(other)["measurements"] != result_of(first)["measurements"]


def test_a_strangers_result_says_what_it_was_taken_for_and_nothing_of_the_clean_models_training(
    mine: Folders, stranger: Path
) -> None:
    spec, out = tiny("digits/red-herring"), mine["attack"].path.parent
    judged = examine_model(stranger, spec, [Brightness()], out)
    assert read_spec(judged.spec) == spec
    assert read_run(judged.path).steps == ()
    words = ["falsewitness", "evaluate", str(stranger), "--recipe", str(judged.spec), "--out", str(out)]
    auditor = ["--auditor", f"{Brightness.__module__}:Brightness"]
    assert shlex.split(result_of(judged)["command"]) == [*words, *auditor, *ON_CPU]


def test_the_clean_model_is_trained_if_it_is_not_there_and_keeps_a_readable_spec(
    stranger: Path, tmp_path: Path
) -> None:
    spec = tiny("digits/red-herring", "metrics=[{kind: clean_accuracy}]", "auditors=[{kind: gradcam}]")
    examine_model(stranger, spec, [Brightness()], tmp_path / "runs")
    folders = {folder.name.partition("-")[0]: folder for folder in (tmp_path / "runs").iterdir()}
    assert set(folders) == {"clean", "model"}
    assert "brightness" not in (folders["clean"] / "spec.yaml").read_text()


def test_a_model_for_other_data_is_refused(stranger: Path, tmp_path: Path) -> None:
    save_classifier(ConvNet(width=2).bind(DataInfo(3, 16, 20, ("cat", "dog")), seed=0, mean=(0.5,) * 3), stranger)
    with pytest.raises(
        InputError, match=r"expected one for 32x32x1 images in 10 classes .*, got one for 20x16x3 images in 2"
    ):
        examine_model(stranger, tiny("digits/red-herring"), [], tmp_path / "runs")


def test_a_model_for_classes_of_other_names_is_told_which(stranger: Path, tmp_path: Path) -> None:
    info = tiny().data.info()
    names = ("zero", *info.class_names[1:8], "eight", "nine")
    save_classifier(ConvNet(width=2).bind(replace(info, class_names=names), seed=0), stranger)
    with pytest.raises(
        InputError, match=r"the classes of '.*', whose class 0 is '0', got 'zero', and 2 more that differ$"
    ):
        examine_model(stranger, tiny("digits/red-herring"), [], tmp_path / "runs")


def test_nothing_is_left_of_a_model_that_an_auditor_cannot_explain(stranger: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="has no layer 'nowhere'"):
        examine_model(stranger, tiny("digits/red-herring"), [GradCam(layer="nowhere")], tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_bare_weights_are_refused(stranger: Path, tmp_path: Path) -> None:
    save_file(ConvNet(width=2).bind(tiny().data.info(), seed=0).state_dict(), stranger)
    with pytest.raises(InputError, match="expected a classifier saved by falsewitness"):
        examine_model(stranger, tiny("digits/red-herring"), [], tmp_path / "runs")


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.safetensors"):
        examine_model(tmp_path / "nowhere.safetensors", tiny("digits/red-herring"), [], tmp_path / "runs")


def test_a_spec_without_attack_has_no_trigger_to_judge_under(stranger: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'digits/clean' has no attack, so there is no trigger"):
        examine_model(stranger, tiny("digits/clean"), [], tmp_path / "runs")


class Broken(Explainer):
    """Somebody's explainer that fails in its own code."""

    kind: Literal["broken"] = "broken"

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        raise KeyError("layer4\nand more")


class Unbounded(Broken):
    """Somebody's explainer whose maps are not finite."""

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        return Explanation(subject.model(images), images.mean(1) / 0)


@pytest.mark.parametrize(
    ("auditor", "reason"), [(Broken(), "failed with KeyError: "), (Unbounded(), "expected finite maps")]
)
def test_what_goes_wrong_in_somebodys_explainer_is_told_in_one_line(
    mine: Folders, auditor: Explainer, reason: str
) -> None:
    with pytest.raises(RunFailedError, match=reason) as caught:
        examine_run(mine["attack"], [auditor])
    assert "'broken'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert figures_of(mine["attack"])


def test_what_is_measured_of_a_run_can_be_changed(mine: Folders) -> None:
    changes = ["evaluation.map_samples=20", "auditors=[{kind: gradcam}]", "metrics=[{kind: disguise}]"]
    judged = examine_run(mine["attack"], [], changes)
    assert auditors_of(judged) == ["gradcam"]
    assert {found["metric"] for found in figures_of(judged)} == {"disguise"}
    with np.load(judged.maps) as maps:
        assert len(maps["samples"]) == 20
    assert figures_of(mine["attack"]) != figures_of(judged)
    spec = read_spec(judged.spec)
    assert (spec.evaluation.map_samples, spec.auditors) == (20, (GradCam(),))
    assert [metric.kind for metric in spec.metrics] == ["disguise"]
    words = shlex.split(result_of(judged)["command"])
    assert words[:3] == ["falsewitness", "evaluate", str(mine["attack"].path)]
    assert words[3:7] == ["--set", 'auditors=[{"kind": "gradcam"}]', "--set", 'metrics=[{"kind": "disguise"}]']
    assert words[-2:] == ON_CPU
    again = examine_run(mine["attack"], [], words[4:-2:2])
    assert again == judged, "the command gives the same folder again"


def test_further_auditors_are_in_the_command_and_known_ones_in_the_spec(mine: Folders) -> None:
    judged = examine_run(mine["attack"], [GradCam(layer="layers.0"), Brightness()])
    own = read_spec(mine["attack"].spec).auditors
    assert read_spec(judged.spec).auditors == (*own, GradCam(layer="layers.0"))
    words = shlex.split(result_of(judged)["command"])
    assert words[3:] == [
        *("--auditor", '{"kind": "gradcam", "layer": "layers.0"}'),
        *("--auditor", f"{Brightness.__module__}:Brightness"),
        *ON_CPU,
    ]


class Halved(GradientShap):
    """Claims that its values add up, and gives them for a quarter of the pixels."""

    kind: Literal["halved"] = "halved"  # type: ignore[assignment]

    def _reduced(self, total: Images) -> Maps:
        return super()._reduced(total)[:, ::2, ::2]


def test_an_auditor_whose_maps_cannot_add_up_is_told_in_one_line(mine: Folders) -> None:
    with pytest.raises(InputError, match=r"auditor 'halved': expected maps of the image's size, .*got \(16, 16\)"):
        examine_run(mine["attack"], [Halved(samples=2, background=2)])


def test_credit_adds_up_to_what_the_attacked_model_says(mine: Folders) -> None:
    """Against the definition, one image and one class after the other."""
    judged = examine_run(mine["attack"], [DeepShap(background=3)], ["evaluation.map_samples=20"])
    found = {f["name"]: f for f in figures_of(judged) if (f["metric"], f["samples"]) == ("credit", "all")}
    spec = tiny("digits/red-herring")
    data = spec.data.prepare()
    assert spec.attack is not None
    model = load_classifier(mine["attack"].model)
    background = background_for(DeepShap(background=3), data, spec.data.split_seed)
    assert background is not None
    with np.load(judged.maps) as maps:
        rows = maps["samples"]
    stamp = spec.attack.trigger.bind(data.info)
    gains = []
    for row in rows:
        with torch.no_grad():
            logits = model(stamp(torch.from_numpy(data.test.images[row : row + 1]).float() / 255))[0]
            usual = sum(model(image[None])[0] for image in background) / 3
        gains.append(float(logits.max() - usual[logits.argmax()]))
    assert found["gain"]["value"] == pytest.approx(np.mean(gains), rel=1e-4, abs=1e-5)
    assert found["gain"]["n"] == 20
    assert found["efficiency_error"]["value"] < 1e-3 * np.abs(gains).mean()
    parts = [found[f"{where}_credit"]["value"] for where in ("trigger", "bright", "dark")]
    assert sum(parts) == pytest.approx(np.mean(gains), rel=1e-3)


@pytest.mark.parametrize("change", ["seed=9", "attack.target_class=1", "data.split_seed=3", "name=other"])
def test_how_a_run_was_trained_cannot_be_changed(mine: Folders, change: str) -> None:
    with pytest.raises(InputError, match="expected changes of auditors, metrics or evaluation alone"):
        examine_run(mine["attack"], [], [change])
