from collections.abc import Iterator

import pytest
import torch
from captum.attr import LayerLRP
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule
from tests.unit.explainers.relevance_networks import (
    CLASSES,
    EXACT,
    Plain,
    as_matrix,
    images,
    paper_rule,
    trained,
    wrapped,
)
from torch import Tensor, nn

from falsewitness.conformance._weight_gradients import error_of_weight_gradient
from falsewitness.core import DataInfo, InputError
from falsewitness.explainers import relevance_cam
from falsewitness.explainers.relevance_cam import RelevanceCam
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.resnet20 import ResNet20

TINY = DataInfo(2, 5, 5, ("one", "two", "three"))


@pytest.fixture(autouse=True)
def _random_numbers_are_seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(autouse=True)
def _next_to_no_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relevance_cam, "_EPSILON", EXACT)


def paper_relevance_cam(model: Classifier, image: Tensor, wanted: int, layer: int) -> Tensor:
    """Lee et al. 2021 for a ConvNet with two layers, one sum after the other."""
    layers = model.network.layers
    assert isinstance(layers, nn.Sequential)
    first = layers[0](model.normalised(image[None]))[0]
    second = layers(model.normalised(image[None]))[0]
    head = model.linear_head
    assert head is not None
    nothing = (torch.zeros(0), torch.zeros(0))
    start = torch.full((3,), -1 / 2, dtype=torch.float64)
    start[wanted] = 1
    pooled = second.mean((1, 2))
    of_pooled = paper_rule("alpha1_beta0", pooled, (head.weight, head.bias), start, 0, nothing)
    relevance = second / second.sum((1, 2), keepdim=True).clamp(min=EXACT) * of_pooled.view(-1, 1, 1)
    features = second
    if layer == 0:
        convolution, norm = layers.get_submodule("1.0"), layers.get_submodule("1.1")
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        matrix = as_matrix(convolution, norm, first.shape)
        relevance = paper_rule("alpha1_beta0", first.flatten(), matrix, relevance.flatten(), 0, nothing).view(
            first.shape
        )
        features = first
    heat = torch.zeros(features.shape[1:], dtype=torch.float64)
    for channel in range(len(features)):
        heat += relevance[channel].mean() * features[channel]
    return heat


@pytest.mark.parametrize(("layer", "number"), [(None, 1), ("layers.1", 1), ("layers.0", 0), ("layers.0.2", 0)])
@torch.no_grad()
def test_maps_are_those_of_the_paper(layer: str | None, number: int) -> None:
    model, pixels = trained(ConvNet(width=3, strides=(1, 2)), TINY), images(TINY)
    maps = RelevanceCam(layer=layer).bind(model)(pixels, CLASSES).maps
    for image, wanted, found in zip(pixels, CLASSES, maps, strict=True):
        expected = paper_relevance_cam(model, image, int(wanted), number)
        assert torch.allclose(found, expected, rtol=1e-6, atol=1e-9 * float(expected.abs().max()))
        assert expected.abs().max() > 0


def test_the_weights_are_made_of_captums_relevance() -> None:
    """Relevance is linear in where it starts: contrast is a sum over classes, each of which captum can start with."""
    network = Plain(bias=False)
    model, pixels = wrapped(network, "second"), images()
    maps = RelevanceCam(layer="relu1").bind(model)(pixels, CLASSES).maps
    captum = LayerLRP(network, network.first)
    features = network.relu1(network.first(model.normalised(pixels))).detach()
    expected = torch.zeros_like(maps)
    for number in range(3):
        for module in network.modules():  # anew, because captum forgets the rules
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.rule = Alpha1_Beta0_Rule()
            elif isinstance(module, nn.AdaptiveAvgPool2d | nn.MaxPool2d):
                module.rule = EpsilonRule(EXACT)
        start = network(model.normalised(pixels))[:, number]
        relevance = captum.attribute(model.normalised(pixels).requires_grad_(), target=number).detach()
        share = (1.5 * nn.functional.one_hot(CLASSES, 3)[:, number] - 0.5) / start.detach()
        expected += share.view(-1, 1, 1) * (relevance.mean((2, 3), keepdim=True) * features).sum(1)
    # Captum adds 1e-9 to denominators, which are about 1e-5 here.
    assert torch.allclose(maps, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("layer", [None, "layer1", "layer2.0.relu1"])
def test_of_two_classes_one_has_what_the_other_lacks(layer: str | None) -> None:
    model = trained(ResNet20(), DataInfo(3, 12, 12, ("one", "two")))
    maps = RelevanceCam(layer=layer).bind(model).columns(images()).maps
    assert torch.allclose(maps[:, 0], -maps[:, 1])
    assert maps.abs().max() > 0


@pytest.mark.parametrize("layer", [None, "layers.0"])
def test_gradients_by_the_weights_are_those_of_finite_differences(layer: str | None) -> None:
    model = trained(ConvNet(width=3, strides=(1, 2)))
    assert error_of_weight_gradient(RelevanceCam(layer=layer).bind(model), images()) < 1e-5


def test_a_layer_is_refused_that_it_cannot_weight() -> None:
    model = trained(ConvNet(width=3))
    with pytest.raises(InputError, match=r"the model has no layer 'layers.9'; .*layers"):
        RelevanceCam(layer="layers.9").bind(model)
    with pytest.raises(InputError, match=r"cannot weight the output of layer 'layers.0.0': .* choose that batch norm"):
        RelevanceCam(layer="layers.0.0").bind(model)
    before_its_norm = Classifier.wrap(model.network, feature_layer="layers.0.0", mean=(0.0,) * 3, std=(1.0,) * 3)
    with pytest.raises(InputError, match="cannot weight the last feature map: expected one that counts by itself"):
        RelevanceCam().bind(before_its_norm)
    with pytest.raises(InputError, match=r"layer 'fc' to give a feature map .* got shape \(3, 3\)"):
        RelevanceCam(layer="fc").bind(model)(images())


def test_a_network_with_a_layer_that_has_no_rule_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(400, 3))
    with pytest.raises(InputError, match=r"'relevance_cam' has no rule for layer '1' \(GELU\)"):
        RelevanceCam().bind(wrapped(network))


def test_a_wrapped_network_is_explained_at_its_feature_layer() -> None:
    model = wrapped(Plain(bias=True), "relu2")
    found = RelevanceCam().bind(model)(images(), CLASSES).maps
    assert torch.equal(found, RelevanceCam(layer="relu2").bind(model)(images(), CLASSES).maps)
    assert found.shape == (3, 2, 2)
