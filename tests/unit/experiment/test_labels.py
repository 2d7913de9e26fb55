"""What the auditors of a run are called."""

from falsewitness.experiment._labels import labelled
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.lime import Lime
from falsewitness.explainers.shap_library import ShapLibrary
from falsewitness.explainers.smoothgrad import SmoothGrad


def test_an_auditor_is_called_by_its_kind_whatever_its_fields() -> None:
    assert list(labelled([GradCam(layer="layers.0"), Gradient()])) == ["gradcam", "gradient"]


def test_auditors_of_a_kind_are_told_apart_by_the_fields_in_which_they_differ() -> None:
    plain, grey, quick = Lime(grid=8), Lime(grid=8, fill=0.5), Lime(grid=8, samples=100)
    assert labelled([plain, grey, quick]) == {"lime": plain, "lime (fill 0.5)": grey, "lime (samples 100)": quick}


def test_the_first_of_a_kind_has_its_fields_told_as_well() -> None:
    shap = [ShapLibrary(method="kernel", background=10), ShapLibrary(method="deep", background=10)]
    assert list(labelled(shap)) == ["shap_library (method kernel)", "shap_library (method deep)"]


def test_auditors_that_their_fields_do_not_tell_apart_are_numbered() -> None:
    assert list(labelled([Lime(), Gradient(), Lime(), Lime()])) == ["lime", "gradient", "lime-2", "lime-3"]


def test_what_says_only_how_to_train_against_an_auditor_is_no_part_of_its_name() -> None:
    names = list(labelled([SmoothGrad(), SmoothGrad(samples=9, training_samples=2), SmoothGrad(training_samples=2)]))
    assert names == ["smoothgrad", "smoothgrad (samples 9)", "smoothgrad-2"]
