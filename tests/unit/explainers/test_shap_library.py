"""The library shap behind our interface: its values are its own, and it leaves nothing behind."""

import sys
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.explainers.gradient_shap import GradientShap
from falsewitness.explainers.shap_library import ShapLibrary
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.resnet18 import ResNet18

pytest.importorskip("shap")

INFO = DataInfo(1, 6, 6, ("one", "two", "three"))
METHODS: tuple[Literal["gradient", "deep", "kernel"], ...] = ("gradient", "deep", "kernel")


def images(batch: int, seed: int = 0) -> Tensor:
    return torch.rand(batch, 1, 6, 6, generator=torch.Generator().manual_seed(seed))


def linear() -> tuple[Classifier, Tensor]:
    """A model whose Shapley values are known: weight times distance from the background's mean."""
    torch.manual_seed(0)
    layer = nn.Linear(36, 3)
    model = Classifier.wrap(nn.Sequential(nn.Flatten(), layer), feature_layer="0", mean=(0.0,), std=(1.0,))
    return model.eval(), layer.weight.detach().view(3, 6, 6)


@pytest.mark.parametrize("method", METHODS)
def test_values_of_a_linear_model_are_exact(method: Literal["gradient", "deep", "kernel"]) -> None:
    """Up to the 2,000 draws of ``gradient``, which agrees within 5 % of the largest value."""
    model, weight = linear()
    pixels, background = images(2), images(5, seed=1)
    samples = {"gradient": 2000, "deep": None, "kernel": None}[method]
    columns = ShapLibrary(method=method, samples=samples).bind(model, background=background).columns(pixels)
    expected = weight[None] * (pixels - background.mean(0))
    largest = float(expected.abs().max())
    assert torch.allclose(columns.maps, expected, atol=largest * (0.05 if method == "gradient" else 1e-3))
    assert torch.allclose(columns.logits, model(pixels))


def test_our_expected_gradients_agree_with_the_librarys() -> None:
    """A correlation of more than .99 at 2,000 draws each."""
    model = ConvNet(width=4, strides=(1,)).bind(INFO, seed=0, std=(0.25,))
    pixels, background = images(2), images(8, seed=1)
    theirs = ShapLibrary(samples=2000).bind(model, background=background)(pixels).maps
    ours = GradientShap(samples=2000).bind(model, background=background)(pixels).maps
    assert np.corrcoef(theirs.flatten(), ours.flatten())[0, 1] > 0.99


def test_a_network_that_the_librarys_hooks_cannot_bear_is_refused() -> None:
    info = DataInfo(3, 32, 32, ("one", "two"))
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    explain = ShapLibrary(method="deep").bind(ResNet18().bind(info, seed=0), background=pixels)
    with pytest.raises(InputError, match="cannot explain a network that changes the output of a layer in place"):
        explain(pixels)


def test_a_layer_for_which_the_librarys_deep_explainer_has_no_rule_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))
    model = Classifier.wrap(network, feature_layer="0", mean=(0.0,), std=(1.0,)).eval()
    explain = ShapLibrary(method="deep").bind(model, background=images(4, seed=1))
    with pytest.raises(InputError, match=r"no rule for a layer .*LayerNorm.*; choose the method gradient or kernel"):
        explain(images(2))


def test_samples_beyond_the_machines_memory_are_refused_before_any_is_drawn() -> None:
    model, _ = linear()
    explain = ShapLibrary(method="kernel", samples=10_000_000).bind(model, background=images(4000, seed=1))
    with pytest.raises(InputError, match=r"wants up to 11520 GB for its samples, more than the \d+ GB of this machine"):
        explain(images(1))


@pytest.mark.parametrize("method", METHODS)
def test_a_map_depends_on_the_seed_alone(method: Literal["gradient", "deep", "kernel"]) -> None:
    model = ConvNet(width=4, strides=(1,)).bind(INFO, seed=0, std=(0.25,))
    pixels, background = images(3), images(4, seed=1)
    explain = ShapLibrary(method=method, samples=60).bind(model, background=background)
    np.random.seed(7)
    before = str(np.random.get_state())
    together = explain(pixels).maps
    alone = torch.cat([explain(pixels[row : row + 1]).maps for row in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert str(np.random.get_state()) == before
    assert not any(len(module._forward_hooks) for module in model.modules())


def test_where_the_library_is_missing_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(InputError, match=r"is not installed; run `pip install 'falsewitness\[shap\]'`"):
        ShapLibrary().bind(linear()[0], background=images(2))
