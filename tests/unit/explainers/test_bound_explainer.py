from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor

from falsewitness.core import DataInfo, InputError
from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Classes, Images
from falsewitness.explainers import Explainer, Subject
from falsewitness.explainers._budget import bytes_of_activations, inputs_at_once
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.gradient_shap import GradientShap
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 8, 8, ("one", "two", "three"))


class Given(Explainer):
    """Hands out maps made from the images by a function of the test's."""

    kind: Literal["given"] = "given"
    maps: Literal["brightness", "one", "flat", "nan", "infinite"] = "brightness"
    source: ClassVar[str] = "this test"

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        maps = {
            "brightness": images.mean(1),
            "one": images[:1].mean(1),
            "flat": images.mean((1, 2)),
            "nan": images.mean(1) * torch.nan,
            "infinite": images.mean(1) + torch.inf,
        }
        return Explanation(subject.model(images), maps[self.maps])


class Surrogate(Given):
    """The same, and says that it is differentiable; takes note of what it is asked."""

    kind: Literal["surrogate"] = "surrogate"  # type: ignore[assignment]
    surrogate: ClassVar[bool] = True


def model() -> Classifier:
    return ConvNet(width=2, strides=(1, 2)).bind(INFO, seed=0)


def images(batch: int = 3) -> Tensor:
    return torch.rand(batch, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_an_explanation_carries_no_gradients() -> None:
    answer = Given().bind(model())(images().requires_grad_())
    assert not answer.logits.requires_grad
    assert not answer.maps.requires_grad


def test_a_model_that_is_left_in_training_mode_is_explained_as_an_auditor_would_and_stays_as_it_was() -> None:
    audited, left = model(), model().train()
    before = {name: value.clone() for name, value in left.state_dict().items()}
    for kind in (GradCam(), Gradient()):
        expected, found = kind.bind(audited)(images()), kind.bind(left)(images())
        assert torch.equal(found.logits, expected.logits)
        assert torch.equal(found.maps, expected.maps)
        assert torch.equal(kind.bind(left).columns(images()).maps, kind.bind(audited).columns(images()).maps)
    assert left.training
    assert all(torch.equal(value, before[name]) for name, value in left.state_dict().items())


@pytest.mark.parametrize("explainer", [GradCam(layer="layers.0"), Gradient(), GradientShap()], ids=lambda one: one.kind)
def test_inference_mode_changes_nothing(explainer: Explainer) -> None:
    classifier = model()
    explain = explainer.bind(classifier, background=images(2))
    classes = classifier(images()).argmax(1)
    expected, columns = explain(images(), classes), explain.columns(images())
    with torch.inference_mode():
        explain, made_here = explainer.bind(classifier, background=images(2)), images()
        found = explain(made_here, classifier(made_here).argmax(1))
        found_columns = explain.columns(made_here)
    assert torch.equal(found.maps, expected.maps)
    assert torch.equal(found_columns.maps, columns.maps)


def test_a_transformer_is_bound_in_inference_mode() -> None:
    from falsewitness.models.timm import Timm

    classifier = Timm(name="test_vit", patch_size=4).bind(DataInfo(3, 32, 32, ("one", "two")), seed=0)
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = GradCam().bind(classifier)(pixels)
    with torch.inference_mode():
        assert torch.equal(GradCam().bind(classifier)(pixels).maps, expected.maps)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32])
@pytest.mark.usefixtures("_shapes_unchecked")
def test_classes_may_be_whole_numbers_of_any_size(dtype: torch.dtype) -> None:
    classes = torch.tensor([1, 0, 1])
    explain = GradCam().bind(model())
    expected = explain(images(), classes).maps
    assert torch.equal(explain(images(), classes.to(dtype)).maps, expected)
    assert torch.equal(explain.differentiable(images(), classes.to(dtype)).maps, expected)


def test_a_model_that_says_nothing_of_its_classes_is_asked_how_many_it_has() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    explain = GradCam().bind(Classifier.wrap(network, feature_layer="0", mean=(0.5,), std=(0.25,)))
    with pytest.raises(ValueError, match="expected classes from 0 to 2, got 3"):
        explain(images(), torch.tensor([0, 1, 3]))


@pytest.mark.parametrize("size", [(2, 8, 8), (8, 8), (1, 2, 3, 8, 8)])
@pytest.mark.usefixtures("_shapes_unchecked")
def test_images_of_another_rank_are_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected images \[batch, channels, height, width\], got shape"):
        Given().bind(model())(torch.zeros(size))
    with pytest.raises(ValueError, match=r"expected images \[batch, channels, height, width\], got shape"):
        Surrogate().bind(model()).differentiable(torch.zeros(size))


@pytest.mark.parametrize(("classes", "got"), [([0, 3, 1], "from 0 to 2, got 3"), ([0, -1, 1], "from 0 to 2, got -1")])
def test_a_class_that_the_model_lacks_is_refused(classes: list[int], got: str) -> None:
    with pytest.raises(ValueError, match=f"expected classes {got}"):
        Given().bind(model())(images(), torch.tensor(classes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
@pytest.mark.usefixtures("_shapes_unchecked")
def test_classes_are_whole_numbers(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"expected classes as whole numbers, got {dtype}"):
        Given().bind(model())(images(), torch.zeros(3, dtype=dtype))


def test_images_of_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="expected images of 3 channels, as the model's are, got 1"):
        Given().bind(model())(images()[:, :1])


@pytest.mark.parametrize("classes", [torch.tensor([0, 1]), torch.tensor(0), torch.zeros(3, 1, dtype=torch.long)])
@pytest.mark.usefixtures("_shapes_unchecked")
def test_there_must_be_one_class_an_image(classes: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected one class an image \(3\), got shape"):
        Given().bind(model())(images(), classes)
    with pytest.raises(ValueError, match=r"expected one class an image \(3\), got shape"):
        Surrogate().bind(model()).differentiable(images(), classes)


@pytest.mark.parametrize(
    ("spoilt", "got"), [(-0.001, "-0.001 to"), (1.5, "to 1.5"), (255.0, "to 255"), (torch.nan, "nan to nan")]
)
def test_pixels_outside_their_bounds_are_refused(spoilt: float, got: str) -> None:
    pixels = images()
    pixels[1, 2, 3, 4] = spoilt
    with pytest.raises(ValueError, match=r"expected raw pixels in \[0, 1\], got .*") as caught:
        Given().bind(model())(pixels)
    assert got in str(caught.value)


def test_no_image_at_all_gives_no_map() -> None:
    answer = Given().bind(model())(images(0))
    assert answer.logits.shape == (0, 3)
    assert answer.maps.shape == (0, 8, 8)


@pytest.mark.parametrize(("maps", "got"), [("one", r"\(1, 8, 8\)"), ("flat", r"\(3, 8\)")])
@pytest.mark.usefixtures("_shapes_unchecked")
def test_maps_of_another_shape_are_refused(maps: Literal["one", "flat"], got: str) -> None:
    with pytest.raises(ValueError, match=rf"expected maps \[3, height, width\], got {got}"):
        Given(maps=maps).bind(model())(images())


@pytest.mark.parametrize("maps", ["nan", "infinite"])
def test_maps_that_are_not_finite_are_refused_and_the_explainer_is_named(maps: Literal["nan", "infinite"]) -> None:
    with pytest.raises(ValueError, match=r"expected finite maps, got .* from explainer 'given'"):
        Given(maps=maps).bind(model())(images())


def test_only_a_surrogate_can_be_trained_against() -> None:
    with pytest.raises(InputError, match="explainer 'given' cannot be a surrogate: its maps carry no gradients"):
        Given().bind(model()).differentiable(images())


def test_an_explainer_that_makes_all_maps_at_once_hands_out_the_rows_asked_for() -> None:
    explain = Surrogate().bind(model()).differentiable
    logits, maps = explain(images(), None, torch.tensor([2, 0]))
    assert torch.equal(logits, model()(images()))
    assert torch.equal(maps, images().mean(1)[[2, 0]])
    assert torch.equal(explain(images()).maps, images().mean(1))


def test_training_explanations_have_gradients_even_where_they_are_switched_off() -> None:
    with torch.no_grad():
        assert GradCam().bind(model()).differentiable(images()).maps.requires_grad


def sizes_of_passes(classifier: Classifier) -> list[int]:
    """What goes through a classifier from now on, images a pass; passes of one image are left out."""
    sizes: list[int] = []

    def note(_model: object, inputs: tuple[Tensor, ...]) -> None:
        if len(inputs[0]) > 1:
            sizes.append(len(inputs[0]))

    first = next(module for module in classifier.modules() if not list(module.children()))
    first.register_forward_pre_hook(note)
    return sizes


def test_no_more_images_go_through_the_model_than_memory_allows() -> None:
    classifier = model()
    sizes = sizes_of_passes(classifier)
    whole = GradCam().bind(classifier, memory_mb=1000.0)(images(7))
    assert sizes == [7]
    in_a_megabyte = inputs_at_once(bytes_of_activations(classifier, images()[:1]), torch.device("cpu"), 1.0)
    parts = GradCam().bind(classifier, memory_mb=3.5 / in_a_megabyte)(images(7))
    assert sizes[1:] == [3, 3], "and the last one alone"
    assert torch.allclose(whole.maps, parts.maps, atol=1e-6)


def test_samples_share_a_pass_as_far_as_memory_allows() -> None:
    subject = Subject(model(), None, inputs_at_once=10, draw=0)
    assert list(subject.parts(7, images=3)) == [range(3), range(3, 6), range(6, 7)]
    assert list(subject.parts(2, images=30)) == [range(1), range(1, 2)]


def test_a_map_can_be_as_large_as_the_image() -> None:
    explain = GradCam().bind(model())
    small, large = explain(images()).maps, explain.on_pixels(images()).maps
    assert small.shape == (3, 4, 4)
    expected = torch.nn.functional.interpolate(small[:, None], (8, 8), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(large, expected)


def test_an_explainer_that_compares_wants_something_to_compare_with() -> None:
    with pytest.raises(InputError, match="'gradient_shap' compares with training images: expected a background set"):
        GradientShap().bind(model())
    assert GradCam().bind(model(), background=images()).background is None
