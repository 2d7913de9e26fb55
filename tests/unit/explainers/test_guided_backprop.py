"""Guided backpropagation: against its rule written out, and against captum."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop as CaptumGuidedBackprop
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.guided_backprop import GuidedBackprop
from falsewitness.models import Classifier
from falsewitness.models.resnet20 import ResNet20

INFO = DataInfo(3, 12, 12, ("one", "two", "three"))
CLASSES = torch.tensor([2, 0, 1])


def images(batch: int = 3) -> Tensor:
    return torch.rand(batch, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def two_layers() -> tuple[Classifier, Tensor, Tensor]:
    """A network of two linear layers with a ReLU between them, and its weights."""
    torch.manual_seed(0)
    lower, upper = nn.Linear(2 * 2, 6, bias=False).double(), nn.Linear(6, 3, bias=False).double()
    network = nn.Sequential(nn.Flatten(), lower, nn.ReLU(), upper)
    model = Classifier.wrap(network, feature_layer="0", mean=(0.0,), std=(1.0,))
    return model.eval(), lower.weight.detach(), upper.weight.detach()


def test_a_relu_passes_back_only_what_is_positive_on_either_way() -> None:
    """Springenberg et al. 2015, equation 3: by loops over a network of two layers."""
    model, lower, upper = two_layers()
    pixels = torch.rand(1, 1, 2, 2, generator=torch.Generator().manual_seed(1)).double()
    hidden = lower @ pixels.flatten()
    expected = torch.zeros(4, dtype=torch.float64)
    for unit in range(6):
        if hidden[unit] > 0 and upper[2, unit] > 0:
            expected += upper[2, unit] * lower[unit]
    maps = GuidedBackprop().bind(model)(pixels, torch.tensor([2])).maps
    assert torch.allclose(maps.flatten(), expected.abs(), atol=1e-12)
    assert not torch.allclose(maps, Gradient().bind(model)(pixels, torch.tensor([2])).maps)


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_captum_gives_the_same_maps() -> None:
    model = ResNet20().bind(INFO, seed=0)
    theirs = CaptumGuidedBackprop(model).attribute(images().requires_grad_(), target=CLASSES).abs().sum(1)
    ours = GuidedBackprop().bind(model)(images(), CLASSES).maps
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.LeakyReLU()])
def test_a_network_with_another_activation_is_refused(activation: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), activation)
    model = Classifier.wrap(network, feature_layer="3", mean=(0.5,), std=(0.5,))
    name = type(activation).__name__
    with pytest.raises(InputError, match=f"expected ReLU modules alone, got {name} in layer '3'"):
        GuidedBackprop().bind(model)


class WithAFunction(nn.Module):
    """A ReLU module, and an activation that is called as a function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.features, self.relu, self.function = nn.Conv2d(3, 4, 3), nn.ReLU(), function
        self.head = nn.Linear(4 * 10 * 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.function(self.relu(self.features(x)) - 0.1).flatten(1))
        return logits


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu of torch": torch.relu,
    "method": lambda x: x.relu(),
    "in place": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0.0),
    "silu": F.silu,
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_an_activation_that_is_no_module_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    network = WithAFunction(function)
    model = Classifier.wrap(network, feature_layer="features", mean=(0.5,), std=(0.5,)).eval()
    explain = GuidedBackprop().bind(model)
    with pytest.raises(InputError, match=r"expected activations that are modules, .* got a call of '\w+'; choose"):
        explain(images())
    with pytest.raises(InputError, match="got a call of"):
        explain.differentiable(images(), CLASSES)
    assert "forward" not in vars(network.relu)


def test_a_clamp_that_is_no_activation_is_let_alone() -> None:
    network = WithAFunction(lambda x: x.clamp(-3, 3).clamp_min(1e-6))
    model = Classifier.wrap(network, feature_layer="features", mean=(0.5,), std=(0.5,)).eval()
    assert GuidedBackprop().bind(model)(images()).maps.isfinite().all()


def test_a_network_without_any_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    model = Classifier.wrap(network, feature_layer="0", mean=(0.5,), std=(0.5,))
    with pytest.raises(InputError, match="expected a network with ReLU modules, got one without"):
        GuidedBackprop().bind(model)
