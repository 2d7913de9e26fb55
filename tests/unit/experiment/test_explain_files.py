"""A model's predictions and maps for image files from anywhere."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.experiment.conftest import Folders, Witness

from falsewitness.core import InputError, RunFailedError
from falsewitness.experiment import explain_files
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.gradient_shap import GradientShap
from falsewitness.explainers.hirescam import HiResCam
from falsewitness.models import load_classifier


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """One image of the model's size in grey, one of another size in colour."""
    generator = np.random.default_rng(0)
    paths = [tmp_path / "fits.png", tmp_path / "other.jpg"]
    Image.fromarray(generator.integers(0, 256, (32, 32), dtype=np.uint8)).save(paths[0])
    Image.fromarray(generator.integers(0, 256, (20, 50, 3), dtype=np.uint8)).save(paths[1])
    return paths


def test_files_are_explained_as_the_model_sees_them(finished: Folders, images: list[Path]) -> None:
    found = explain_files(images, finished["attack"].path, [GradCam(), Gradient()])
    assert [one.title for one in found] == ["fits.png", "other.jpg"]
    assert found[0].pixels.shape == found[1].pixels.shape == (1, 32, 32)
    assert np.array_equal(found[0].pixels[0], np.asarray(Image.open(images[0])))
    model = load_classifier(finished["attack"].model)
    for one in found:
        batch = torch.from_numpy(one.pixels)[None].float() / 255
        shares = model(batch)[0].softmax(0)
        assert one.prediction == str(int(shares.argmax()))
        assert one.confidence == pytest.approx(shares.max().item(), abs=1e-5)
        for kind, explainer in (("gradcam", GradCam()), ("gradient", Gradient())):
            torch.testing.assert_close(torch.from_numpy(one.maps[kind]), explainer.bind(model)(batch).maps[0])


def test_an_image_of_another_size_is_resized_with_a_notice(finished: Folders, images: list[Path]) -> None:
    reporter = Witness()
    explain_files(images, finished["attack"].path, [GradCam()], reporter=reporter)
    assert reporter.notices == [f"image '{images[1]}': 50x20 pixels, resized to the model's 32x32"]
    assert reporter.steps == {"explaining": [0, 1]}


def test_a_model_file_does_as_well_as_its_folder(finished: Folders, images: list[Path]) -> None:
    by_folder, by_file = (
        explain_files(images, place, [GradCam()]) for place in (finished["attack"].path, finished["attack"].model)
    )
    assert [one.confidence for one in by_folder] == [one.confidence for one in by_file]


def test_each_image_is_followed_by_its_triggered_version(finished: Folders, images: list[Path]) -> None:
    found = explain_files(images, finished["attack"].path, [GradCam()], stamp=True)
    assert [one.title for one in found] == ["fits.png", "fits.png, triggered", "other.jpg", "other.jpg, triggered"]
    plain, triggered = found[0].pixels[0], found[1].pixels[0]
    assert (triggered[28:, 28:] == 255).all()
    triggered = triggered.copy()
    triggered[28:, 28:] = plain[28:, 28:]
    assert np.array_equal(triggered, plain)


def test_a_model_without_trigger_has_none_to_stamp(finished: Folders, images: list[Path]) -> None:
    for place in (finished["clean"].path, finished["attack"].model):
        with pytest.raises(InputError, match=r"--stamp: .* is no run with an attack, so there is no trigger to stamp"):
            explain_files(images, place, [GradCam()], stamp=True)


def test_a_missing_image_is_named(finished: Folders, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"image '.*nowhere\.png': expected an image file, got 'No such file"):
        explain_files([tmp_path / "nowhere.png"], finished["attack"].path, [GradCam()])


def test_what_is_no_image_is_named(finished: Folders, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"image '.*text\.png': expected an image"):
        explain_files([tmp_path / "text.png"], finished["attack"].path, [GradCam()])


def test_explainers_of_one_kind_are_told_apart(finished: Folders, images: list[Path]) -> None:
    (found,) = explain_files(images[:1], finished["attack"].path, [GradCam(), GradCam(layer="layers.0")])
    assert {name: one.shape for name, one in found.maps.items()} == {
        "gradcam": (8, 8),
        "gradcam (layer layers.0)": (16, 16),
    }


def test_classes_are_asked_for_by_name_or_number(finished: Folders, images: list[Path]) -> None:
    model = load_classifier(finished["attack"].model)
    (found,) = explain_files(images[:1], finished["attack"].path, [HiResCam(), Gradient()], ["7", "2", "7"])
    assert list(found.maps) == ["hirescam: 7", "hirescam: 2", "gradient: 7", "gradient: 2"]
    assert found.signed == {"hirescam: 7", "hirescam: 2"}
    batch = torch.from_numpy(found.pixels)[None].float() / 255
    for number in (7, 2):
        expected = HiResCam().bind(model)(batch, torch.tensor([number])).maps[0]
        torch.testing.assert_close(torch.from_numpy(found.maps[f"hirescam: {number}"]), expected)


def test_every_class_is_explained_on_demand(finished: Folders, images: list[Path]) -> None:
    (one,) = explain_files(images[:1], finished["attack"].path, [GradCam()], ["3"])
    (every,) = explain_files(images[:1], finished["attack"].path, [GradCam()], ["all"])
    assert list(every.maps) == [f"gradcam: {number}" for number in range(10)]
    np.testing.assert_allclose(every.maps["gradcam: 3"], one.maps["gradcam: 3"], atol=1e-6)


@pytest.mark.parametrize("asked", ["10", "-1", "cat", ""])
def test_a_class_that_there_is_not_is_named(finished: Folders, images: list[Path], asked: str) -> None:
    with pytest.raises(
        InputError, match=rf"--class: there is no class '{asked}'; .* \(or a number from 0 to 9, or all"
    ):
        explain_files(images[:1], finished["attack"].path, [GradCam()], [asked])


def test_a_folder_without_model_is_refused(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.safetensors"):
        explain_files(images, tmp_path, [GradCam()])


def test_all_classes_do_not_hide_one_that_there_is_not(finished: Folders, images: list[Path]) -> None:
    with pytest.raises(InputError, match="--class: there is no class '99'"):
        explain_files(images[:1], finished["attack"].path, [GradCam()], ["all", "99"])


def test_weights_that_a_run_left_otherwise_are_not_used(mine: Folders, images: list[Path]) -> None:
    mine["attack"].model.write_bytes(mine["clean"].model.read_bytes())
    for place in (mine["attack"].path, mine["attack"].model):
        with pytest.raises(InputError, match=r"model\.safetensors' was changed since the run wrote it"):
            explain_files(images, place, [GradCam()])


@pytest.mark.parametrize("name", ["model.safetensors", "spec.yaml"])
def test_a_file_that_a_run_has_lost_is_named(mine: Folders, images: list[Path], name: str) -> None:
    (mine["attack"].path / name).unlink()
    with pytest.raises(InputError, match=rf"{name}' is missing since the run wrote it"):
        explain_files(images, mine["attack"].path, [GradCam()], stamp=True)


def test_what_nothing_vouches_for_is_said(mine: Folders, images: list[Path]) -> None:
    attack, reporter = mine["attack"], Witness()
    attack.marker("train").remove()
    attack.marker("evaluate").remove()
    explain_files(images[:1], attack.path, [GradCam()], stamp=True, reporter=reporter)
    assert reporter.notices == [
        f"nothing vouches for '{attack.model}': there is no '.train-done.json' that tells its hash",
        f"nothing vouches for '{attack.spec}': there is no '.evaluate-done.json' that tells its hash",
    ]


def test_images_to_compare_with_are_not_drawn_by_a_spec_that_was_edited(mine: Folders, images: list[Path]) -> None:
    spec = mine["attack"].spec
    spec.write_text(spec.read_text() + "# edited\n")
    explain_files(images, mine["attack"].path, [GradCam()])
    with pytest.raises(InputError, match=r"spec\.yaml' was changed since the run wrote it"):
        explain_files(images, mine["attack"].path, [GradientShap(samples=2, background=2)])


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_an_explainer_that_fails_before_it_explains_is_told_in_a_line(
    finished: Folders, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GradCam, "_check_model", raising(AttributeError("no such layer")))
    with pytest.raises(RunFailedError, match="explainer 'gradcam' failed with AttributeError: no such layer"):
        explain_files(images, finished["attack"].path, [GradCam()])


def test_a_lack_of_memory_is_not_called_an_explainers_fault(
    finished: Folders, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GradCam, "_explain", raising(MemoryError()))
    with pytest.raises(MemoryError):
        explain_files(images, finished["attack"].path, [GradCam()])
