"""Losses on maps are differentiated by the weights, in double precision, and compared with central differences."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from falsewitness.core import DataInfo
from falsewitness.core.shapes import Features, Images, Logits
from falsewitness.explainers import Explainer
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

STEP = 1e-5
CLASSES = torch.tensor([2, 0, 1])
ROWS = torch.tensor([2, 0])


class Smooth(nn.Module):
    """Two convolutions with softplus, and a head that is linear or has one more softplus in front."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Softplus())
        self.second = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus())
        self.before_pooling = head
        self.fc = nn.Linear(4, 3)

    def forward(self, images: Images) -> Logits:
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Images) -> Features:
        features: Features = self.second(self.first(images))
        return features

    def forward_head(self, features: Features) -> Logits:
        logits: Logits = self.fc(self.before_pooling(features).mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Linear:
        return self.fc


def smooth(head: nn.Module) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(Smooth(head), mean=(0.5,), std=(0.25,)).double().eval()


def kinked() -> Classifier:
    info = DataInfo(1, 7, 7, ("one", "two", "three"))
    return ConvNet(width=2, strides=(1, 2)).bind(info, seed=0).double()


CASES: dict[str, tuple[Explainer, Callable[[], Classifier]]] = {
    "gradcam, closed form": (GradCam(), lambda: smooth(nn.Identity())),
    "gradcam, by gradient": (GradCam(), lambda: smooth(nn.Softplus())),
    "gradcam at an earlier layer": (GradCam(layer="first"), lambda: smooth(nn.Identity())),
    "gradcam inside a layer": (GradCam(layer="second.0"), lambda: smooth(nn.Identity())),
    "gradient, double backward, smooth network": (
        Gradient(training="double_backward"),
        lambda: smooth(nn.Softplus()),
    ),
    "gradient, double backward, twin of a ReLU network": (Gradient(training="double_backward"), kinked),
    "gradient, small difference": (Gradient(difference_step=1e-3), kinked),
}


def images() -> Tensor:
    return torch.rand(3, 1, 7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def loss(explainer: Explainer, model: Classifier) -> Tensor:
    maps = explainer.bind(model).differentiable(images(), CLASSES, ROWS).maps
    wanted = torch.rand(maps.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    total: Tensor = ((maps - wanted).square() + maps * wanted).sum()
    return total


def central_difference(explainer: Explainer, model: Classifier, weight: Tensor, position: int) -> float:
    flat = weight.detach().view(-1)
    original = float(flat[position])
    flat[position] = original + STEP
    up = loss(explainer, model).item()
    flat[position] = original - STEP
    down = loss(explainer, model).item()
    flat[position] = original
    return (up - down) / (2 * STEP)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_by_every_weight_is_that_of_finite_differences(case: str) -> None:
    explainer, make = CASES[case]
    model = make()
    weights = dict(model.named_parameters())
    found = torch.autograd.grad(loss(explainer, model), tuple(weights.values()), allow_unused=True)
    largest = max(float(gradient.abs().max()) for gradient in found if gradient is not None)
    for (name, weight), gradient in zip(weights.items(), found, strict=True):
        claimed = torch.zeros_like(weight) if gradient is None else gradient
        for position in range(weight.numel()):
            expected = central_difference(explainer, model, weight, position)
            assert float(claimed.flatten()[position]) == pytest.approx(expected, rel=1e-4, abs=1e-5 * largest), name
