from collections.abc import Callable, Iterator
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LRP, LayerLRP
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule, PropagationRule
from tests.unit.explainers.relevance_networks import (
    CLASSES,
    EXACT,
    Plain,
    Residual,
    images,
    residual,
    trained,
    without_biases,
    wrapped,
)
from torch import Tensor, nn

from falsewitness.explainers._relevance import run
from falsewitness.explainers.lrp import Composite, Lrp
from falsewitness.models.convnet import ConvNet


@pytest.fixture(autouse=True)
def _random_numbers_are_seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def captum_ready(network: nn.Module, rule: Callable[[], PropagationRule]) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.rule = rule()
        elif isinstance(module, nn.Linear | nn.AdaptiveAvgPool2d | nn.MaxPool2d):
            module.rule = EpsilonRule(EXACT)
    return network


@pytest.mark.parametrize("bias", [False, True])
def test_captum_gives_the_same_maps_by_the_epsilon_rule(bias: bool) -> None:
    network = Plain(bias=bias)
    model, pixels = wrapped(network, "second"), images()
    maps = Lrp(composite="epsilon", epsilon=EXACT).bind(model)(pixels, CLASSES).maps
    captum = LRP(captum_ready(network, lambda: EpsilonRule(EXACT)))
    expected = captum.attribute(model.normalised(pixels).requires_grad_(), target=CLASSES).sum(1)
    assert torch.allclose(maps, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("composite", "rule"),
    [("epsilon_gamma_box", lambda: GammaRule(0.6)), ("epsilon_alpha1_beta0_box", Alpha1_Beta0_Rule)],
)
def test_captum_gives_the_same_relevance_behind_the_first_layer(
    composite: Composite, rule: Callable[[], PropagationRule]
) -> None:
    """Captum has no box rule, and its other rules change the weights but not the bias."""
    network = Plain(bias=False)
    model, pixels = wrapped(network, "second"), images()
    explainer = Lrp(composite=composite, gamma=0.6, epsilon=EXACT)
    done = run(model, pixels, "lrp")
    start = done.logits * F.one_hot(CLASSES, 3)
    found = done.relevance_at(done.network.outputs["relu1"], start, explainer._rules(model))
    captum = LayerLRP(captum_ready(network, rule), network.first)
    expected = captum.attribute(model.normalised(pixels).requires_grad_(), target=CLASSES)
    assert torch.allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_captum_hands_too_much_relevance_back_at_a_sum_of_branches() -> None:
    """Both branches get all of it, and that of the shortcut is multiplied by the activation: 9 + (3, 6) . (2, 1)."""
    network = captum_ready(Residual().double().eval(), lambda: EpsilonRule(EXACT))
    pixels = torch.tensor([[[[1.0, 0.5]]]], dtype=torch.float64)
    theirs = LRP(network).attribute(pixels.requires_grad_(), target=0).detach()
    assert float(theirs.sum()) == pytest.approx(21)
    assert float(Lrp(composite="epsilon", epsilon=EXACT).bind(residual())(pixels.detach()).maps.sum()) == pytest.approx(
        9
    )


def test_captum_gives_the_same_maps_through_batch_norm_by_the_epsilon_rule() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).append(nn.Linear(4, 3))
    nn.init.uniform_(cast(Tensor, network[1].bias), -0.5, 0.5)
    model, pixels = wrapped(network), images()
    maps = Lrp(composite="epsilon", epsilon=EXACT).bind(model)(pixels, CLASSES).maps
    for module in network:
        module.rule = EpsilonRule(EXACT)
    expected = LRP(network).attribute(model.normalised(pixels).requires_grad_(), target=CLASSES).sum(1)
    assert torch.allclose(maps, expected, rtol=1e-6, atol=1e-9)


def test_captum_does_not_see_a_mean_that_is_no_module() -> None:
    """It hands relevance back as a gradient there: to every position alike, whatever was active."""
    model, pixels = without_biases(trained(ConvNet(width=4))), images()
    maps = Lrp(composite="epsilon", epsilon=EXACT).bind(model)(pixels, CLASSES).maps
    theirs = LRP(model.network).attribute(model.normalised(pixels).requires_grad_(), target=CLASSES).sum(1).detach()
    assert (theirs - maps).norm() > 0.1 * maps.norm()
