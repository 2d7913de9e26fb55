"""What metrics are told, against the saved models and the data: which model, which images, which split."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from tests.unit.experiment.conftest import Folders, tiny

from falsewitness.attacks import draw_target_map
from falsewitness.data import Dataset, Split
from falsewitness.experiment import RunFolder, run
from falsewitness.experiment._background import background_for
from falsewitness.explainers import Explainer
from falsewitness.metrics import Measurement, Metric
from falsewitness.metrics._base import MapEvidence, PredictionEvidence, StampEvidence
from falsewitness.metrics.clean_accuracy import CleanAccuracy
from falsewitness.metrics.map_detectability import MapDetectability
from falsewitness.metrics.stamp_visibility import StampVisibility
from falsewitness.models import Classifier, load_classifier

TARGET = 3
SPEC = tiny(
    "digits/red-herring",
    "seed=7",
    "data.split_seed=5",
    "attack_training.learning_rate=0.014",
    "metrics=[{kind: clean_accuracy}, {kind: map_detectability}, {kind: stamp_visibility}]",
    "auditors=[{kind: gradcam}, {kind: gradient_shap, background: 9, samples: 3}]",
)


@dataclass
class Told:
    """What the metrics of a run were told.

    Attributes:
        folders: Its run folders.
        predictions: By the role of the examined model.
        maps: By auditor.
        stamp: Of the trigger.
    """

    folders: Folders
    predictions: list[PredictionEvidence] = field(default_factory=list)
    maps: list[MapEvidence] = field(default_factory=list)
    stamp: list[StampEvidence] = field(default_factory=list)

    def model(self, role: str) -> Classifier:
        folder: RunFolder = self.folders[
            "clean" if role == "clean_model" else "attack" if role == "attacked" else "control"
        ]
        return load_classifier(folder.model).eval()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    found = Told({})

    def kept(in_list: list) -> Callable[[Metric, object], list[Measurement]]:  # type: ignore[type-arg]
        def measure(_: Metric, evidence: object) -> list[Measurement]:
            in_list.append(evidence)
            return []

        return measure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CleanAccuracy, "_measure", kept(found.predictions))
        patch.setattr(MapDetectability, "_measure", kept(found.maps))
        patch.setattr(StampVisibility, "_measure", kept(found.stamp))
        found.folders |= run(SPEC, tmp_path_factory.mktemp("told"))
    return found


@pytest.fixture(scope="module")
def data() -> Dataset:
    return SPEC.data.prepare()


def pixels(split: Split, rows: np.ndarray | None = None) -> torch.Tensor:
    return torch.from_numpy(split.images[np.arange(len(split)) if rows is None else rows]).float() / 255


def stamped(images: torch.Tensor, data: Dataset) -> torch.Tensor:
    assert SPEC.attack is not None
    return SPEC.attack.trigger.bind(data.info, torch.device("cpu"))(images)


def samples(told: Told) -> np.ndarray:
    with np.load(told.folders["attack"].maps, allow_pickle=False) as arrays:
        rows: np.ndarray = arrays["samples"]
    return rows


def maps_of(auditor: Explainer, model: Classifier, images: torch.Tensor, data: Dataset) -> torch.Tensor:
    background = background_for(auditor, data, SPEC.data.split_seed)
    return auditor.bind(model, background=background)(images).maps


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    scale = expected.abs().amax().clamp(min=1e-12)
    assert float((found - expected).abs().amax() / scale) < 1e-3


@torch.no_grad()
def test_predictions_are_those_of_each_model_on_all_test_images(told: Told, data: Dataset) -> None:
    images = pixels(data.test)
    *_, of_attack = told.predictions
    for name in ("attacked_clean", "clean_model_clean", "control_clean"):
        close(getattr(of_attack, name), told.model(name.removesuffix("_clean"))(images))
    for name in ("attacked_triggered", "clean_model_triggered"):
        close(getattr(of_attack, name), told.model(name.removesuffix("_triggered"))(stamped(images, data)))
    assert of_attack.targets.main_class().tolist() == data.test.targets.main_class().tolist()
    assert (of_attack.target_class, of_attack.seed, of_attack.class_names) == (TARGET, 7, data.info.class_names)


def test_map_samples_are_of_all_classes_alike_but_the_target(told: Told, data: Dataset) -> None:
    rows = samples(told)
    classes = data.test.targets.main_class().numpy()[rows]
    assert len(set(rows.tolist())) == len(rows) == 20
    assert TARGET not in classes
    counts = np.bincount(classes, minlength=10)[[c for c in range(10) if c != TARGET]]
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("place", [0, 1])
def test_maps_are_of_the_model_and_the_images_that_their_names_say(told: Told, data: Dataset, place: int) -> None:
    evidence, auditor = told.maps[place], SPEC.auditors[place]
    rows = samples(told)
    images = pixels(data.test, rows)
    for role in ("attacked", "clean_model"):
        model = told.model(role)
        close(getattr(evidence, f"{role}_clean"), maps_of(auditor, model, images, data))
        close(getattr(evidence, f"{role}_triggered"), maps_of(auditor, model, stamped(images, data), data))


@pytest.mark.parametrize("place", [0, 1])
@torch.no_grad()
def test_what_metrics_know_of_the_samples_is_true(told: Told, data: Dataset, place: int) -> None:
    evidence, auditor = told.maps[place], SPEC.auditors[place]
    rows = samples(told)
    images = pixels(data.test, rows)
    under_trigger = told.model("attacked")(stamped(images, data))
    assert torch.equal(evidence.images, images)
    assert evidence.classes.tolist() == data.test.targets.main_class().numpy()[rows].tolist()
    assert evidence.predicted.tolist() == told.model("clean_model")(images).argmax(1).tolist()
    assert evidence.success.tolist() == (under_trigger.argmax(1) == TARGET).tolist()
    assert 0 < int(evidence.success.sum()) < len(rows), "else nothing is tested"
    assert evidence.signed == auditor.signed == (place == 1)
    assert evidence.seed == 7
    assert evidence.target_map is not None
    assert torch.equal(evidence.target_map, draw_target_map("square", *evidence.attacked_clean.shape[1:]))
    assert torch.equal(evidence.mask, (stamped(torch.zeros(1, 1, 32, 32), data) != 0)[0, 0])
    if place == 0:
        assert evidence.gains is None
    else:
        background = background_for(auditor, data, SPEC.data.split_seed)
        assert background is not None
        usual = told.model("attacked")(background).mean(0)
        assert evidence.gains is not None
        close(evidence.gains, under_trigger.amax(1) - usual[under_trigger.argmax(1)])


@pytest.mark.parametrize("place", [0, 1])
def test_a_detector_learns_from_validation_images_of_all_classes_alike_but_the_target(
    told: Told, data: Dataset, place: int
) -> None:
    evidence, auditor = told.maps[place], SPEC.auditors[place]
    images = pixels(data.validation)
    for role, clean, triggered in (
        ("attacked", evidence.validation_clean, evidence.validation_triggered),
        ("clean_model", evidence.clean_model_validation_clean, evidence.clean_model_validation_triggered),
    ):
        model = told.model(role)
        every = [maps_of(auditor, model, some, data) for some in (images, stamped(images, data))]
        rows = torch.cdist(clean.flatten(1), every[0].flatten(1)).argmin(1)
        assert len(set(rows.tolist())) == len(rows) == 20
        close(clean, every[0][rows])
        close(triggered, every[1][rows])
        counts = np.bincount(data.validation.targets.main_class().numpy()[rows], minlength=10)
        assert counts[TARGET] == 0
        assert counts.max() - np.delete(counts, TARGET).min() <= 1


def test_the_stamp_is_judged_on_the_samples(told: Told, data: Dataset) -> None:
    (evidence,) = told.stamp
    images = pixels(data.test, samples(told))
    assert torch.equal(evidence.images, images)
    assert torch.equal(evidence.stamped, stamped(images, data))


def test_what_is_kept_of_the_maps_is_what_metrics_were_told(told: Told) -> None:
    with np.load(told.folders["attack"].maps, allow_pickle=False) as arrays:
        for label, evidence in zip(("gradcam", "gradient_shap"), told.maps, strict=True):
            names = [name.partition("/")[2] for name in arrays if name.startswith(f"{label}/")]
            assert len(names) == 8
            for name in names:
                assert np.array_equal(arrays[f"{label}/{name}"], getattr(evidence, name).numpy())


@torch.no_grad()
def test_the_gallery_shows_further_images_as_each_model_sees_them(told: Told, data: Dataset) -> None:
    with np.load(told.folders["attack"].gallery, allow_pickle=False) as file:
        arrays = dict(file)
    rows = arrays["index"]
    images = pixels(data.test, rows)
    views = {"clean": images, "triggered": stamped(images, data)}
    labels = data.test.targets.main_class().numpy()[rows]
    assert TARGET not in labels
    assert arrays["labels"].tolist() == labels.tolist()
    success = told.model("attacked")(views["triggered"]).argmax(1) == TARGET
    assert arrays["group"].tolist() == ["shared"] * 2 + ["success"] * 2 + ["failure"] * 2
    assert success[2:].tolist() == [True] * 2 + [False] * 2
    for shown, role in (("clean", "clean_model"), ("attacked", "attacked")):
        model = told.model(role)
        for view, seen in views.items():
            confidence, predicted = model(seen).softmax(1).max(1)
            assert arrays[f"predicted/{shown}/{view}"].tolist() == predicted.tolist()
            close(torch.from_numpy(arrays[f"confidence/{shown}/{view}"]), confidence)
            with torch.enable_grad():
                wanted = maps_of(SPEC.auditors[0], model, seen, data)
            close(torch.from_numpy(arrays[f"maps/gradcam/{shown}/{view}"]), wanted)


@torch.no_grad()
def test_success_on_validation_images_leaves_the_target_class_out(told: Told, data: Dataset) -> None:
    last = json.loads(told.folders["attack"].steps.read_text(encoding="utf-8").splitlines()[-1])["validation"]
    model, images = told.model("attacked"), pixels(data.validation)
    classes = data.validation.targets.main_class()
    others = classes != TARGET
    right = (model(images).argmax(1) == classes).float().mean()
    success = (model(stamped(images, data)).argmax(1) == TARGET)[others].float().mean()
    assert last["accuracy"] == pytest.approx(float(right), abs=1e-6)
    assert last["attack_success_rate"] == pytest.approx(float(success), abs=1e-6)


def test_a_background_is_of_training_images_at_random(data: Dataset) -> None:
    auditor = SPEC.auditors[1]
    background = background_for(auditor, data, 5)
    assert background is not None
    train = pixels(data.train)
    same = (background[:, None] == train[None]).flatten(2).all(2)
    assert same.any(1).all()
    rows = same.int().argmax(1)
    assert len(set(rows.tolist())) == auditor.background_size == 9
    assert rows.tolist() != list(range(9))
    again, other = background_for(auditor, data, 5), background_for(auditor, data, 6)
    assert again is not None
    assert other is not None
    assert torch.equal(background, again)
    assert not torch.equal(background, other)
