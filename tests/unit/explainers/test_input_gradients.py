"""Explainers made of input gradients at points around the image: each against its formula, and against captum."""

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient as CaptumInputXGradient
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from torch import Tensor

from falsewitness.core import DataInfo
from falsewitness.explainers import Explainer, Subject
from falsewitness.explainers._draws import generator
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.gradient_shap import GradientShap
from falsewitness.explainers.input_x_gradient import InputXGradient
from falsewitness.explainers.integrated_gradients import IntegratedGradients
from falsewitness.explainers.smoothgrad import SmoothGrad
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.resnet20 import ResNet20

INFO = DataInfo(3, 12, 12, ("one", "two", "three"))
CLASSES = torch.tensor([2, 0, 1])


def images(batch: int = 3, seed: int = 0) -> Tensor:
    return torch.rand(batch, 3, 12, 12, generator=torch.Generator().manual_seed(seed))


def convnet() -> Classifier:
    """A network whose batch norm has seen images, in double precision."""
    model = ConvNet(width=4, strides=(1, 2)).bind(INFO, seed=0, std=(0.25,))
    with torch.no_grad():
        for seed in range(10):
            model.train()(images(16, seed))
    return model.eval().double()


def input_gradient(model: Classifier, pixels: Tensor, wanted: int) -> Tensor:
    pixels = pixels.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(pixels[None])[0, wanted], pixels)
    return gradient


def score(model: Classifier, pixels: Tensor, wanted: int) -> float:
    with torch.no_grad():
        return float(model(pixels[None])[0, wanted])


def test_input_times_gradient_is_just_that() -> None:
    model, pixels = convnet(), images().double()
    expected = [(x * input_gradient(model, x, int(c))).sum(0) for x, c in zip(pixels, CLASSES, strict=True)]
    maps = InputXGradient().bind(model)(pixels, CLASSES).maps
    assert torch.allclose(maps, torch.stack(expected), atol=1e-10)


def test_smoothgrad_is_the_mean_gradient_of_noisy_copies() -> None:
    model, pixels, explainer = convnet(), images().double(), SmoothGrad(samples=7, noise=0.2, seed=3)
    random = generator(3, 0)
    total = torch.zeros_like(pixels)
    noises = torch.randn(7, 1, 3, 12, 12, generator=random)
    for noise in noises.double():
        for row, wanted in enumerate(CLASSES.tolist()):
            total[row] += input_gradient(model, pixels[row] + 0.2 * noise[0], wanted) / 7
    assert torch.allclose(explainer.bind(model)(pixels, CLASSES).maps, total.abs().sum(1), atol=1e-10)


def test_smoothgrad_without_noise_would_be_the_gradient() -> None:
    model, pixels = convnet(), images().double()
    nearly = SmoothGrad(samples=3, noise=1e-9).bind(model)(pixels, CLASSES).maps
    assert torch.allclose(nearly, Gradient().bind(model)(pixels, CLASSES).maps, rtol=1e-4)


def test_integrated_gradients_add_up_to_the_difference_to_the_baseline() -> None:
    model, pixels = convnet(), images().double()
    for baseline in (0.0, 0.5):
        explain = IntegratedGradients(steps=300, baseline=baseline).bind(model)
        flat = torch.full_like(pixels[0], baseline)
        for row, wanted in enumerate(CLASSES.tolist()):
            difference = score(model, pixels[row], wanted) - score(model, flat, wanted)
            total = float(explain(pixels[row : row + 1], CLASSES[row : row + 1]).maps.sum())
            assert total == pytest.approx(difference, abs=0.01 * abs(difference) + 1e-3)


def test_integrated_gradients_follow_the_formula() -> None:
    """The integral by the midpoint rule in many steps, as written in the paper."""
    model, pixel = convnet(), images(1).double()[0]
    steps = 400
    mean = sum(input_gradient(model, (number + 0.5) / steps * pixel, 1) for number in range(steps)) / steps
    maps = IntegratedGradients(steps=100).bind(model)(pixel[None], torch.tensor([1])).maps[0]
    assert torch.allclose(maps, (pixel * mean).sum(0), atol=0.02 * float((pixel * mean).sum(0).abs().max()))


@pytest.mark.parametrize("architecture", [ConvNet(width=4), ResNet20()], ids=["convnet", "resnet20"])
def test_captum_gives_the_same_maps(architecture: ConvNet | ResNet20) -> None:
    """Both integrate by Gauss and Legendre's rule at the same points, so rounding alone is between them."""
    model, pixels = architecture.bind(INFO, seed=0).double(), images().double()
    times = CaptumInputXGradient(model).attribute(pixels.clone().requires_grad_(), target=CLASSES).sum(1)
    assert torch.allclose(InputXGradient().bind(model)(pixels, CLASSES).maps, times, atol=1e-9)
    integral = CaptumIntegratedGradients(model).attribute(pixels, target=CLASSES, n_steps=20).sum(1)
    found = IntegratedGradients(steps=20).bind(model)(pixels, CLASSES).maps
    assert torch.allclose(found, integral, atol=1e-9)


def test_expected_gradients_are_the_mean_of_integrated_gradients_over_the_background() -> None:
    """Exact but for sampling: 20,000 draws, a tolerance of 3 % of the largest value."""
    model, pixel, background = convnet(), images(1).double(), images(4, seed=9).double()
    exact = torch.zeros(12, 12, dtype=torch.float64)
    nodes, weights = np.polynomial.legendre.leggauss(100)
    for start in background:
        for node, weight in zip((1 + nodes) / 2, weights / 2, strict=True):
            at = start + node * (pixel[0] - start)
            exact += weight / 4 * ((pixel[0] - start) * input_gradient(model, at, 2)).sum(0)
    explain = GradientShap(samples=20_000).bind(model, background=background)
    found = explain(pixel, torch.tensor([2])).maps[0]
    assert torch.allclose(found, exact, atol=0.03 * float(exact.abs().max()))
    mean = sum(score(model, start, 2) for start in background) / 4
    assert float(found.sum()) == pytest.approx(score(model, pixel[0], 2) - mean, rel=0.03)


def test_every_background_image_is_drawn_equally_often() -> None:
    """So a number of draws that the background divides leaves the place on the way as the only thing that varies."""
    background = images(4, seed=9)
    explainer = GradientShap(samples=8)
    subject_points = list(explainer._points(_subject(background), images(1), training=False))
    starts = torch.cat([points.images for points in subject_points])[:, 0]
    weights = torch.cat([points.weights for points in subject_points])[:, 0] * 8
    origins = images(1) - weights
    counts = [int((origins - one).flatten(1).abs().amax(1).lt(1e-5).sum()) for one in background]
    assert counts == [2, 2, 2, 2]
    assert starts.shape == (8, 3, 12, 12)


def test_places_on_the_way_from_the_background_are_one_in_each_equal_part_of_it() -> None:
    background = images(4, seed=9) - 1
    points = list(GradientShap(samples=8)._points(_subject(background), images(1), training=False))
    starts = torch.cat([some.images for some in points])[:, 0]
    differences = torch.cat([some.weights for some in points])[:, 0] * 8
    places = 1 - ((images(1) - starts) / differences).flatten(1).mean(1)
    assert (places * 8).long().sort().values.tolist() == list(range(8))
    assert (places * 8).long().tolist() != list(range(8)), "otherwise an image has the same place always"
    within = (places * 8) % 1
    assert within.std() > 0.1, "otherwise the places are a grid"


def _subject(background: Tensor) -> Subject:
    return Subject(convnet(), background, inputs_at_once=3, draw=0)


FAMILY = (
    Gradient(),
    InputXGradient(),
    SmoothGrad(samples=5),
    IntegratedGradients(steps=5),
    GradientShap(samples=5, background=3),
)


@pytest.mark.parametrize("explainer", FAMILY, ids=lambda explainer: explainer.kind)
def test_columns_are_the_maps_of_every_class(explainer: Explainer) -> None:
    model, pixels = convnet(), images().double()
    explain = explainer.bind(model, background=images(3, seed=5))
    columns = explain.columns(pixels)
    for number in range(3):
        alone = explain(pixels, torch.full((3,), number))
        assert torch.allclose(columns.maps[:, number], alone.maps, atol=1e-10)
    assert torch.allclose(columns.logits, model(pixels))


@pytest.mark.parametrize("explainer", FAMILY[2:], ids=lambda explainer: explainer.kind)
def test_differentiating_twice_and_by_difference_reach_the_weights_alike(explainer: Explainer) -> None:
    model, pixels = convnet(), images().double()
    weights = tuple(model.parameters())
    found = []
    for training in ("finite_difference", "double_backward"):
        changed = explainer.model_copy(update={"training": training, "difference_step": 1e-3})
        maps = changed.bind(model, background=images(3, seed=5), draw=1).differentiable(pixels, CLASSES).maps
        gradients = torch.autograd.grad(maps.square().sum(), weights, allow_unused=True, materialize_grads=True)
        found.append(torch.cat([gradient.flatten() for gradient in gradients]))
    assert torch.nn.functional.cosine_similarity(found[0], found[1], dim=0) > 0.999


def test_every_training_step_draws_anew_and_an_auditor_always_the_same() -> None:
    model, pixels = convnet(), images().double()
    explain = GradientShap(samples=5).bind(model, background=images(3, seed=5))
    first, second = explain.with_draw(1), explain.with_draw(2)
    assert not torch.equal(first.differentiable(pixels).maps, second.differentiable(pixels).maps)
    assert torch.equal(first.differentiable(pixels).maps, first.differentiable(pixels).maps)
    assert torch.equal(explain(pixels).maps, explain(pixels).maps)


OTHER = {
    "training": "double_backward",
    "smoothness": 3.0,
    "difference_step": 0.3,
    "training_samples": 3,
    "training_steps": 3,
}


@pytest.mark.parametrize(
    "explainer",
    [Gradient(), InputXGradient(), SmoothGrad(), IntegratedGradients(), GradientShap()],
    ids=lambda e: e.kind,
)
def test_an_auditor_s_map_does_not_depend_on_what_is_only_for_training(explainer: Explainer) -> None:
    other = explainer.model_copy(update={name: OTHER[name] for name in explainer.only_in_training})
    assert other != explainer
    assert other.as_auditor() == explainer
    background = images() if explainer.background_size else None
    maps = [each.bind(convnet(), background=background)(images()).maps for each in (explainer, other)]
    assert torch.equal(*maps)


def test_what_changes_the_map_makes_another_auditor() -> None:
    assert SmoothGrad().as_auditor() != SmoothGrad(seed=1).as_auditor()
    assert SmoothGrad().as_auditor() != Gradient().as_auditor()
