import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from tests.unit.explainers.relevance_networks import (
    CLASSES,
    EXACT,
    Plain,
    as_matrix,
    images,
    norms_of,
    paper_rule,
    residual,
    trained,
    without_biases,
    wrapped,
)
from torch import Tensor, nn

from falsewitness.conformance._weight_gradients import error_of_weight_gradient
from falsewitness.core import DataInfo
from falsewitness.explainers import _relevance_maps
from falsewitness.explainers._relevance import run
from falsewitness.explainers._relevance_layers import Weighted
from falsewitness.explainers._relevance_rules import Gamma, stabilised
from falsewitness.explainers.lrp import Composite, Lrp
from falsewitness.models import Architecture, Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.resnet18 import ResNet18
from falsewitness.models.resnet20 import ResNet20

TINY = DataInfo(2, 5, 5, ("one", "two", "three"))
COMPOSITES: tuple[Composite, ...] = get_args(Composite)


@pytest.fixture(autouse=True)
def _random_numbers_are_seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def paper_lrp(model: Classifier, image: Tensor, wanted: int, rules: tuple[str, str, str], gamma: float) -> Tensor:
    """LRP of a ConvNet with two layers, layer by layer with matrices."""
    layers: Any = model.network.layers
    channels, height, width = image.shape
    first = as_matrix(layers[0][0], layers[0][1], (channels, height, width))
    between = layers[0](image[None])[0].shape
    second = as_matrix(layers[1][0], layers[1][1], between)
    shape = layers(image[None])[0].shape
    head = model.linear_head
    assert head is not None
    pixels = model.normalised(image[None]).flatten()
    a1 = (first[0] @ pixels + first[1]).relu()
    a2 = (second[0] @ a1 + second[1]).relu()
    pooled = a2.view(shape).mean((1, 2))
    logit = head.weight[wanted] @ pooled + head.bias[wanted]
    bounds = (torch.full_like(pixels, (0 - 0.4) / 0.3), torch.full_like(pixels, (1 - 0.4) / 0.3))
    last = (head.weight[wanted : wanted + 1], head.bias[wanted : wanted + 1])
    of_pooled = paper_rule(rules[2], pooled, last, logit[None], gamma, bounds)
    of_maps = a2.view(shape) / a2.view(shape).sum((1, 2), keepdim=True).clamp(min=EXACT) * of_pooled.view(-1, 1, 1)
    of_first = paper_rule(rules[1], a1, second, of_maps.flatten(), gamma, bounds)
    of_pixels = paper_rule(rules[0], pixels, first, of_first, gamma, bounds)
    return of_pixels.view(image.shape).sum(0)


@pytest.mark.parametrize(
    ("composite", "rules"),
    [
        ("epsilon", ("epsilon", "epsilon", "epsilon")),
        ("epsilon_gamma_box", ("box", "gamma", "epsilon")),
        ("epsilon_alpha1_beta0_box", ("box", "alpha1_beta0", "epsilon")),
    ],
)
@torch.no_grad()
def test_maps_are_those_of_the_paper(composite: Composite, rules: tuple[str, str, str]) -> None:
    model, pixels = trained(ConvNet(width=3, strides=(1, 2)), TINY), images(TINY)
    maps = Lrp(composite=composite, epsilon=EXACT, gamma=0.6).bind(model)(pixels, CLASSES).maps
    for image, wanted, found in zip(pixels, CLASSES, maps, strict=True):
        expected = paper_lrp(model, image, int(wanted), rules, gamma=0.6)
        assert torch.allclose(found, expected, rtol=1e-6, atol=1e-8 * float(expected.abs().max()))
        assert expected.abs().max() > 0


def test_a_sum_of_branches_is_shared_in_proportion() -> None:
    # first: (2, 1); second: (1, 2); their sum: (3, 3); the logit: 9, of which the sum's parts have (3, 6): the branches
    # (2, 2) and (1, 4). The second layer gives back (2, -1) + (2, 2), so that the first has (6, 3): for its pixels
    # (4.5, 1.5) + (6, -3).
    pixels = torch.tensor([[[[1.0, 0.5]]]], dtype=torch.float64)
    logits, maps = Lrp(composite="epsilon", epsilon=EXACT).bind(residual())(pixels)
    assert float(logits) == pytest.approx(9)
    assert torch.allclose(maps, torch.tensor([[[10.5, -1.5]]], dtype=torch.float64))


class Modified(nn.Module):
    """A convolution with batch norm, of which gradient times input is the relevance of its input.

    It gives ``z' (z / z')`` with the quotient held fast, where ``z'`` is ``z`` with the weights that the rule favours:
    Montavon et al. 2019, section 10.2.2. The weights' gradient of this is wrong, the relevance is right.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, composite: Composite, gamma: float) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.weight, self.bias = convolution.weight * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale
        self.stride, self.composite, self.gamma = convolution.stride, composite, gamma

    def forward(self, x: Tensor) -> Tensor:
        def given(weight: Tensor, bias: Tensor) -> Tensor:
            return F.conv2d(x, weight, bias, self.stride, padding=1)

        z, above = given(self.weight, self.bias), given(self.weight.clamp(min=0), self.bias.clamp(min=0))
        below = given(self.weight.clamp(max=0), self.bias.clamp(max=0))
        gamma = z + self.gamma * torch.where(z > 0, above, below)
        favoured = gamma if self.composite == "epsilon_gamma_box" else above
        return favoured * (z / favoured).detach()


@pytest.mark.parametrize("composite", ["epsilon_gamma_box", "epsilon_alpha1_beta0_box"])
def test_relevance_in_a_residual_network_is_gradient_times_input_of_a_modified_one(composite: Composite) -> None:
    model, pixels = trained(ResNet20()), images()
    explainer = Lrp(composite=composite, gamma=0.6, epsilon=EXACT)
    done = run(model, pixels, "lrp")
    start = done.logits * F.one_hot(CLASSES, 3)
    found = done.relevance_at(done.network.outputs["relu"], start, explainer._rules(model))

    network: Any = copy.deepcopy(model.network)
    for block in (*network.layer1, *network.layer2, *network.layer3):
        block.conv1, block.bn1 = Modified(block.conv1, block.bn1, composite, 0.6), nn.Identity()
        block.conv2, block.bn2 = Modified(block.conv2, block.bn2, composite, 0.6), nn.Identity()
    stem = network.relu(network.bn1(network.conv1(model.normalised(pixels)))).detach().requires_grad_()
    logits = network.forward_head(network.layer3(network.layer2(network.layer1(stem))))
    (gradient,) = torch.autograd.grad(logits[torch.arange(3), CLASSES].sum(), stem)
    expected = (stem * gradient).detach()
    assert torch.allclose(logits, model(pixels))
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("is_rectified", [False, True])
def test_the_gamma_rule_favours_the_sign_of_the_output(is_rectified: bool) -> None:
    random = torch.Generator().manual_seed(0)
    linear = nn.Linear(6, 8).double()
    inputs = torch.rand(1, 6, generator=random, dtype=torch.float64)
    outputs = linear(inputs)
    relevance = torch.randn(1, 8, generator=random, dtype=torch.float64)
    if is_rectified:
        relevance = relevance * (outputs > 0)
    found = Gamma(0.5, EXACT)(Weighted(linear, None, is_rectified), inputs, outputs, relevance)
    expected = torch.zeros(6, dtype=torch.float64)
    for weights, bias, output, part in zip(linear.weight, linear.bias, outputs[0], relevance[0], strict=True):
        terms = torch.cat([inputs[0] * weights, bias[None]])
        favoured = terms + 0.5 * (terms.clamp(min=0) if output > 0 else terms.clamp(max=0))
        expected += (favoured / favoured.sum() * part)[:-1]
    assert torch.allclose(found[0], expected)
    assert (outputs < 0).any()


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("architecture", [ConvNet(width=4), ResNet20(), ResNet18()], ids=lambda each: each.kind)
def test_relevance_adds_up_to_the_logit_without_biases(architecture: Architecture, composite: Composite) -> None:
    model = without_biases(trained(architecture))
    logits, maps = Lrp(composite=composite, epsilon=EXACT).bind(model)(images(), CLASSES)
    assert torch.allclose(maps.sum((1, 2)), logits[torch.arange(3), CLASSES], rtol=1e-5)


@pytest.mark.parametrize("architecture", [ConvNet(width=4), ResNet20(), ResNet18()], ids=lambda each: each.kind)
def test_what_is_missing_of_the_logit_is_what_the_biases_took(architecture: Architecture) -> None:
    """By the epsilon rule bias b_j takes ``b_j R_j / z_j``, and ``R_j / z_j`` is the logit's slope by ``z_j``."""
    model, pixels = trained(architecture), images()
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(norm: nn.BatchNorm2d, _inputs: object, output: Tensor) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        bias = norm.bias - norm.running_mean * norm.weight / torch.sqrt(norm.running_var + norm.eps)
        seen.append((bias.detach(), output))

    for norm in norms_of(model):
        norm.register_forward_hook(keep)
    score = model(pixels)[torch.arange(3), CLASSES]
    slopes = torch.autograd.grad(score.sum(), [output for _, output in seen])
    assert model.linear_head is not None
    taken = model.linear_head.bias[CLASSES].clone()
    for (bias, _), slope in zip(seen, slopes, strict=True):
        taken += (slope.sum((2, 3)) * bias).sum(1)
    maps = Lrp(composite="epsilon", epsilon=EXACT).bind(model)(pixels, CLASSES).maps
    assert taken.abs().min() > 1e-3
    assert torch.allclose(maps.sum((1, 2)) + taken, score, rtol=1e-5)


def test_the_epsilon_rule_everywhere_is_gradient_times_normalised_input() -> None:
    """Ancona et al. 2018, proposition 1, as long as epsilon is next to nothing."""
    model, pixels = trained(ResNet20()), images()
    normalised = model.normalised(pixels).requires_grad_()
    scores = model.network(normalised)[torch.arange(3), CLASSES]
    (gradient,) = torch.autograd.grad(scores.sum(), normalised)
    maps = Lrp(composite="epsilon", epsilon=EXACT).bind(model)(pixels, CLASSES).maps
    expected = (gradient * normalised).sum(1).detach()
    assert torch.allclose(maps, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("composite", ["epsilon_gamma_box", "epsilon_alpha1_beta0_box"])
def test_biases_of_layers_that_read_the_pixels_take_nothing_by_the_box_rule(composite: Composite) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 3, bias=False))
    logits, maps = Lrp(composite=composite, epsilon=EXACT).bind(wrapped(network))(images(), CLASSES)
    assert torch.allclose(maps.sum((1, 2)), logits[torch.arange(3), CLASSES])


def test_what_is_divided_by_is_moved_away_from_zero_and_zero_upwards() -> None:
    """Montavon et al. 2019 add epsilon with the sum's sign; with a sum of 0 the sign counts as positive."""
    moved = stabilised(torch.tensor([-2.0, -0.0, 0.0, 3.0], dtype=torch.float64), 0.25)
    assert moved.tolist() == [-2.25, 0.25, 0.25, 3.25]


def test_a_large_epsilon_absorbs_relevance() -> None:
    model = without_biases(trained(ConvNet(width=4)))
    sums = [Lrp(composite="epsilon", epsilon=size).bind(model)(images()).maps.sum() for size in (EXACT, 0.1, 1.0)]
    assert sums[0] > sums[1] > sums[2]


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_pixel_that_no_weight_reads_has_no_relevance(composite: Composite) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    maps = Lrp(composite=composite).bind(wrapped(network))(images()).maps
    is_read = torch.zeros(12, 12, dtype=torch.bool)
    is_read[::2, ::2] = True
    assert (maps[:, ~is_read] == 0).all()
    assert (maps[:, is_read] != 0).any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: trained(ConvNet(width=3, strides=(1, 2))),
        lambda: wrapped(Plain(bias=True), "second"),
    ],
    ids=["batch norm", "max pooling"],
)
@pytest.mark.parametrize("composite", COMPOSITES)
def test_gradients_by_the_weights_are_those_of_finite_differences(
    make: Callable[[], Classifier], composite: Composite
) -> None:
    assert error_of_weight_gradient(Lrp(composite=composite).bind(make()), images()) < 1e-5


def test_all_classes_are_explained_from_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    model, runs = trained(ConvNet(width=4)), itertools.count()
    explain = Lrp().bind(model)
    monkeypatch.setattr(_relevance_maps, "run", lambda *arguments: (next(runs), run(*arguments))[1])
    columns = explain.columns(images())
    assert columns.maps.shape == (3, 3, 12, 12)
    assert next(runs) == 1
