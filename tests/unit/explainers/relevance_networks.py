"""Networks that relevance is tried on, and the rules written like the paper."""

import torch
from torch import Tensor, nn

from falsewitness.core import DataInfo
from falsewitness.models import Architecture, Classifier

INFO = DataInfo(3, 12, 12, ("one", "two", "three"))
CLASSES = torch.tensor([2, 0, 1])
EXACT = 1e-12
"""An epsilon that hardly absorbs anything in double precision."""


def images(info: DataInfo = INFO, batch: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.rand(batch, info.channels, info.height, info.width, generator=random, dtype=torch.float64)


def trained(architecture: Architecture, info: DataInfo = INFO) -> Classifier:
    """Return a classifier whose batch norms have statistics and biases unlike those at the start."""
    model = architecture.bind(info, seed=0, mean=(0.4,), std=(0.3,)).double()
    random = torch.Generator().manual_seed(1)
    for norm in norms_of(model):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        for tensor, least in (
            (norm.weight, 0.5),
            (norm.running_var, 0.5),
            (norm.bias, -0.5),
            (norm.running_mean, -0.5),
        ):
            tensor.data.copy_(torch.rand(tensor.shape, generator=random) + least)
    return model.eval()


def without_biases(model: Classifier) -> Classifier:
    for norm in norms_of(model):
        assert norm.running_mean is not None
        norm.bias.data.zero_()
        norm.running_mean.zero_()
    assert model.linear_head is not None
    model.linear_head.bias.data.zero_()
    return model


def norms_of(model: Classifier) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def wrapped(network: nn.Module, feature_layer: str = "0") -> Classifier:
    return Classifier.wrap(network.double().eval(), feature_layer=feature_layer, mean=(0.4,), std=(0.3,)).double()


class Plain(nn.Module):
    """Two convolutions with biases or none, max pooling, average pooling and two linear layers."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=bias)
        self.relu1 = nn.ReLU()
        self.largest = nn.MaxPool2d(2)
        self.second = nn.Conv2d(4, 6, 3, stride=2, bias=bias)
        self.relu2 = nn.ReLU()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.inner = nn.Linear(6, 5, bias=bias)
        self.relu3 = nn.ReLU()
        self.fc = nn.Linear(5, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu2(self.second(self.largest(self.relu1(self.first(x)))))
        logits: Tensor = self.fc(self.relu3(self.inner(self.mean(x).flatten(1))))
        return logits


class Residual(nn.Module):
    """Two numbers are added to what a layer makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu1 = nn.Conv2d(1, 2, (1, 2), bias=False), nn.ReLU()
        self.second, self.relu2 = nn.Conv2d(2, 2, 1, bias=False), nn.ReLU()
        self.fc = nn.Linear(2, 1, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[1.5, 1.0], [2.0, -2.0]]).view(2, 1, 1, 2))
            self.second.weight.copy_(torch.tensor([[1.0, -1.0], [0.5, 1.0]]).view(2, 2, 1, 1))
            self.fc.weight.copy_(torch.tensor([[1.0, 2.0]]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.first(x))
        x = self.relu2(x + self.second(x))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


def residual() -> Classifier:
    return Classifier.wrap(Residual().double().eval(), feature_layer="second", mean=(0.0,), std=(1.0,)).double()


Matrix = tuple[Tensor, Tensor]
"""Weights ``[outputs, inputs]`` and bias ``[outputs]`` of a layer over flattened maps."""


def as_matrix(convolution: nn.Conv2d, norm: nn.BatchNorm2d, shape: tuple[int, ...]) -> Matrix:
    """Fold by the formula of batch norm, and write the convolution as a matrix, one column an input."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    inputs = shape[0] * shape[1] * shape[2]
    columns = convolution(torch.eye(inputs, dtype=torch.float64).view(inputs, *shape))
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = (norm.bias - norm.running_mean * scale).view(-1, 1, 1).expand(columns.shape[1:])
    return (columns * scale.view(-1, 1, 1)).flatten(1).T, bias.flatten()


def paper_rule(rule: str, a: Tensor, matrix: Matrix, relevance: Tensor, gamma: float, bounds: Matrix) -> Tensor:
    """Montavon et al. 2019, table 10.1: one output j after the other."""
    result = torch.zeros_like(a)
    for weights, bias, of_output in zip(*matrix, relevance, strict=True):
        if rule == "epsilon":
            shares, of_bias = a * weights, bias
        elif rule == "gamma":
            shares, of_bias = a * (weights + gamma * weights.clamp(min=0)), bias + gamma * bias.clamp(min=0)
        elif rule == "alpha1_beta0":
            shares, of_bias = a * weights.clamp(min=0), bias.clamp(min=0)
        else:
            low, high = bounds
            shares = a * weights - low * weights.clamp(min=0) - high * weights.clamp(max=0)
            of_bias = torch.zeros_like(bias)
        if of_output != 0:
            result += shares / (shares.sum() + of_bias) * of_output
    return result
