from collections.abc import Iterator

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from tests.unit.explainers.relevance_networks import CLASSES, INFO, images, trained, wrapped
from torch import Tensor, nn

from falsewitness.core import InputError
from falsewitness.explainers.lrp import Lrp
from falsewitness.models import Architecture, Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.efficientnet_b0 import EfficientNetB0
from falsewitness.models.resnet18 import ResNet18
from falsewitness.models.resnet20 import ResNet20


@pytest.fixture(autouse=True)
def _random_numbers_are_seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("architecture", [ConvNet(width=4), ResNet20(), ResNet18()], ids=lambda each: each.kind)
def test_folding_batch_norm_leaves_the_logits_as_they_are(architecture: Architecture) -> None:
    model, pixels = trained(architecture), images()
    assert torch.allclose(Lrp().bind(model)(pixels).logits, model(pixels), rtol=1e-10)


def test_batch_norm_in_training_counts_with_its_running_statistics() -> None:
    model, pixels = trained(ResNet20()).train(), images()
    logits, maps = Lrp().bind(model).differentiable(pixels, CLASSES)
    assert model.training
    # Only now, because the logits' own pass has moved the statistics.
    assert torch.allclose(maps, Lrp().bind(model.eval())(pixels, CLASSES).maps, rtol=1e-10)
    assert not torch.allclose(logits, model(pixels), rtol=0.01)


class Functional(nn.Module):
    """The same layers as modules, or as functions and methods."""

    def __init__(self, *, as_modules: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.as_modules = as_modules
        self.first, self.relu1, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        self.second, self.relu2, self.mean = nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AvgPool2d(2)
        self.drop, self.flat, self.fc = nn.Dropout(), nn.Flatten(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.as_modules:
            x = self.mean(self.relu2(self.second(self.pool(self.relu1(self.first(x))))))
            x = self.flat(self.drop(x))
        else:
            x = F.max_pool2d(F.relu(self.first(x)), 3, stride=2, padding=1)
            x = F.avg_pool2d(torch.relu(self.second(x)), kernel_size=2)
            x = torch.flatten(F.dropout(x, training=self.training), 1)
        logits: Tensor = self.fc(x)
        return logits


def test_functions_are_followed_as_modules_are() -> None:
    both = [Lrp().bind(wrapped(Functional(as_modules=each), "first"))(images()).maps for each in (True, False)]
    assert torch.equal(both[0], both[1])
    assert both[0].abs().max() > 0


def test_a_strided_slice_is_followed_as_pooling_of_single_pixels_is() -> None:
    class Sliced(nn.Module):
        def __init__(self, *, by_slice: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.relu, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Linear(6, 3)
            self.by_slice = by_slice

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.first(x))
            x = x[:, :, ::2, ::2] if self.by_slice else F.avg_pool2d(x, 1, 2)
            logits: Tensor = self.fc(F.pad(x, (0, 0, 0, 0, 1, 1)).mean(dim=(2, 3)))
            return logits

    both = [Lrp().bind(wrapped(Sliced(by_slice=each), "first"))(images()).maps for each in (True, False)]
    assert torch.equal(both[0], both[1])
    assert both[0].abs().max() > 0


def test_networks_of_torchvision_and_timm_can_be_explained() -> None:
    for network in (torchvision.models.resnet18(num_classes=3), timm.create_model("resnet10t", num_classes=3)):
        pixels = torch.rand(2, 3, 40, 40)
        model = Classifier.wrap(network.eval(), feature_layer="layer4", mean=(0.4,), std=(0.3,)).eval()
        logits, maps = Lrp().bind(model)(pixels)
        assert torch.allclose(logits, model(pixels), rtol=1e-4, atol=1e-5)
        assert maps.shape == (2, 40, 40)


class Broken(nn.Module):
    """A network with one thing in it that cannot be explained."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3, track_running_stats=how != "norm without statistics")
        self.relu = nn.SiLU() if how == "SiLU" else nn.ReLU()
        self.same = nn.Conv2d(3, 3, 3, padding="same")
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        if self.how == "control flow" and x.mean() > 0:
            x = -x
        x = self.first(x)
        x = self.relu(self.norm(self.relu(x) if self.how == "norm behind ReLU" else x))
        if self.how == "same padding":
            x = self.same(x)
        if self.how == "product":
            x = x * x.mean((2, 3), keepdim=True)
        if self.how == "sum with a constant":
            x = 1 + x
        if self.how == "negative inputs":
            x = self.first(self.first(x))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return {"logits": logits} if self.how == "dictionary" else logits


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("SiLU", r"no rule for layer 'relu' \(SiLU\): expected convolutions"),
        ("norm without statistics", r"no rule for layer 'norm' \(BatchNorm2d\)"),
        ("norm behind ReLU", r"no rule for layer 'norm' \(BatchNorm2d\): expected every batch norm to stand right"),
        ("same padding", r"cannot transpose layer 'same' \(Conv2d\): expected zeros as padding"),
        ("product", r"no rule for the operation 'mul' in the network \(Broken\)"),
        ("sum with a constant", r"no rule for the operation 'add' in the network \(Broken\)"),
        ("negative inputs", r"no rule for layer 'first' \(Conv2d\), whose inputs may be negative"),
        ("control flow", "expected one that torch.fx can trace, got symbolically traced variables"),
        ("dictionary", "expected a network that returns logits alone, got a dict"),
    ],
)
def test_what_it_cannot_explain_is_refused_when_it_is_bound(how: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as refusal:
        Lrp().bind(wrapped(Broken(how), "first"))
    assert "\n" not in str(refusal.value)


def test_an_efficientnet_is_refused() -> None:
    with pytest.raises(InputError, match=r"no rule for .*BatchNormAct2d"):
        Lrp().bind(EfficientNetB0().bind(INFO, seed=0))


def test_inputs_below_zero_can_be_explained_by_the_epsilon_rule() -> None:
    assert Lrp(composite="epsilon").bind(wrapped(Broken("negative inputs"), "first"))(images()).maps.abs().max() > 0
