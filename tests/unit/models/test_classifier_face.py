import copy
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.models import Classifier, as_audited, smoothed
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 16, 16, ("one", "two", "three"))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


def convnet() -> Classifier:
    return ConvNet(width=4).bind(INFO, seed=0, mean=MEAN, std=STD)


def images(batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class AnyHead(nn.Module):
    """A network whose head is handed in."""

    def __init__(self, pool: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.pool = pool
        self.classifier = classifier

    def forward_features(self, x: Tensor) -> Tensor:
        return torch.cat([x, x * 2, x**2], 1)

    def forward_head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(features).flatten(1))
        return logits

    def get_classifier(self) -> nn.Module:
        return self.classifier


def test_pixels_are_normalised_inside() -> None:
    model = convnet()
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    assert torch.allclose(model(images()), model.network((images() - mean) / std))


def test_one_mean_serves_all_channels() -> None:
    model = ConvNet(width=4).bind(INFO, seed=0, mean=(0.5,), std=(0.25,))
    assert torch.allclose(model.normalised(images()), (images() - 0.5) / 0.25)


def test_the_head_is_no_second_set_of_weights() -> None:
    model = convnet()
    assert {name.split(".")[0] for name in model.state_dict()} == {"network", "mean", "std"}


def test_a_linear_head_follows_the_weights_through_a_copy() -> None:
    model = copy.deepcopy(convnet())
    with torch.no_grad():
        model.get_parameter("network.fc.weight").fill_(7)
    assert model.linear_head is not None
    assert (model.linear_head.weight == 7).all()


@pytest.mark.parametrize("bias", [True, False])
def test_average_pooling_and_a_linear_layer_are_a_linear_head(bias: bool) -> None:
    network = AnyHead(nn.AdaptiveAvgPool2d(1), nn.Linear(9, 3, bias=bias))
    head = Classifier(network, mean=MEAN, std=STD).linear_head
    assert head is not None
    assert torch.equal(head.weight, network.get_parameter("classifier.weight"))
    assert head.bias.abs().sum() > 0 if bias else torch.equal(head.bias, torch.zeros(3))


@pytest.mark.parametrize(
    ("pool", "classifier"),
    [
        (nn.AdaptiveMaxPool2d(1), nn.Linear(9, 3)),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.ReLU()), nn.Linear(9, 3)),
        (nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1)), nn.Linear(9, 3)),
        (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.GroupNorm(3, 9)), nn.Linear(9, 3)),
        (nn.Flatten(), nn.Linear(9 * 16, 3)),
        (nn.AdaptiveAvgPool2d(1), nn.Sequential(nn.Linear(9, 3))),
    ],
    ids=["max", "relu after", "relu before", "norm", "no pooling", "no linear layer"],
)
def test_any_other_head_is_none(pool: nn.Module, classifier: nn.Module) -> None:
    assert Classifier(AnyHead(pool, classifier), mean=MEAN, std=STD).linear_head is None


def test_probing_the_head_leaves_every_mode_as_it_was() -> None:
    network = AnyHead(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(9)), nn.Linear(9, 3))
    network.pool.eval()
    Classifier(network, mean=MEAN, std=STD)
    assert network.training
    assert not network.pool.training


def test_activations_of_a_layer_come_with_the_logits_in_one_graph() -> None:
    model = convnet()
    logits, activation = model.with_activation(images(), "layers.0")
    assert torch.equal(logits, model(images()))
    assert activation.shape == (2, 4, 16, 16)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), activation)
    assert gradient.abs().max() > 0


def test_without_a_name_the_activation_is_the_last_feature_map() -> None:
    model = convnet()
    logits, activation = model.with_activation(images())
    assert torch.equal(activation, model.features(images()))
    assert torch.equal(logits, model(images()))


def test_a_misspelt_layer_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"the model has no layer 'layer\.0'; did you mean 'layers.0'"):
        convnet().with_activation(images(), "layer.0")


def test_a_layer_without_a_feature_map_is_refused_and_leaves_no_hook() -> None:
    model = convnet()
    with pytest.raises(InputError, match=r"expected layer 'fc' to give a feature map .* got shape \(2, 3\)"):
        model.with_activation(images(), "fc")
    assert not any(module._forward_hooks for module in model.modules())


def test_layer_names_are_those_that_can_be_asked_for() -> None:
    names = convnet().layer_names()
    assert names[:3] == ["layers", "layers.0", "layers.0.0"]
    assert "" not in names


@pytest.fixture
def stranger() -> nn.Module:
    network: nn.Module = torchvision.models.resnet18(weights=None, num_classes=3)
    return network.eval()


def test_a_module_of_torchvision_can_be_wrapped(stranger: nn.Module) -> None:
    before = stranger((images() - 0.5) / 0.25)
    model = Classifier.wrap(stranger, feature_layer="layer4", mean=(0.5,), std=(0.25,), info=INFO)
    logits, features = model.with_activation(images())
    assert torch.equal(logits, before)
    assert torch.equal(model(images()), before)
    assert torch.equal(features, model.features(images()))
    assert features.shape == (2, 512, 1, 1)
    assert torch.allclose(stranger.get_submodule("fc")(features.mean((2, 3))), logits, atol=1e-5)
    assert model.linear_head is None
    assert model.info == INFO


def test_other_layers_of_a_wrapped_module_can_be_asked_for(stranger: nn.Module) -> None:
    model = Classifier.wrap(stranger, feature_layer="layer4", mean=(0.5,), std=(0.25,))
    normed = model.with_activation(images(), "bn1")[1]
    assert (normed < 0).any(), "the ReLU behind it must not work in place"


class HuggingFaceLike(nn.Module):
    """Returns an object with logits, as Hugging Face's classifiers do."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 5, 3)
        self.classifier = nn.Linear(5, 3)

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.classifier(self.backbone(pixel_values).mean((2, 3))), loss=None)


def test_a_module_that_returns_an_object_with_logits_can_be_wrapped() -> None:
    module = HuggingFaceLike()
    model = Classifier.wrap(module, feature_layer="backbone", mean=MEAN, std=STD)
    assert torch.equal(model(images()), module(model.normalised(images())).logits)
    assert model.features(images()).shape == (2, 5, 14, 14)


@pytest.mark.parametrize(
    ("module", "got"),
    [(nn.Conv2d(3, 5, 3), r"shape \(2, 5, 14, 14\)"), (nn.LSTM(16, 4, batch_first=True), "tuple")],
)
def test_a_module_that_returns_no_logits_says_so(module: nn.Module, got: str) -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: Tensor) -> object:
            return self.inner(x if isinstance(module, nn.Conv2d) else x[:, 0])

    model = Classifier.wrap(Inner(), feature_layer="inner", mean=(0.5,), std=(0.5,))
    with pytest.raises(InputError, match=f"expected the wrapped module to return logits .*, got {got}"):
        model(images())


def test_wrapping_at_a_layer_that_is_not_there_is_refused(stranger: nn.Module) -> None:
    with pytest.raises(InputError, match="no layer 'layer5'; did you mean"):
        Classifier.wrap(stranger, feature_layer="layer5", mean=MEAN, std=STD)


def test_a_wrapped_module_has_no_head_of_its_own(stranger: nn.Module) -> None:
    model = Classifier.wrap(stranger, feature_layer="layer4", mean=MEAN, std=STD)
    with pytest.raises(InputError, match="no separate head"):
        model.head(torch.zeros(1, 512, 1, 1))


def slow_softplus(values: Tensor, beta: float) -> Tensor:
    return torch.log1p(torch.exp(-beta * values.abs())) / beta + values.clamp(min=0)


def test_the_smooth_twin_has_softplus_where_the_model_has_relu() -> None:
    model = convnet().double()
    x = model.normalised(images().double())
    weights = dict(model.network.state_dict())
    for layer, stride in enumerate((1, 2, 2)):
        x = F.conv2d(x, weights[f"layers.{layer}.0.weight"], stride=stride, padding=1)
        x = slow_softplus(x / (1 + 1e-5) ** 0.5, 8.0)  # fresh batch norm
    expected = x.mean((2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]
    with smoothed(model, 8.0):
        assert torch.allclose(model(images().double()), expected)


def test_the_smooth_twin_is_near_the_model_and_gone_after_the_block() -> None:
    model = convnet()
    before = model(images())
    with smoothed(model, 8.0):
        coarse = model(images())
    with smoothed(model, 1000.0):
        fine = model(images())
    assert torch.equal(model(images()), before)
    assert not torch.allclose(coarse, before, atol=1e-3)
    assert torch.allclose(fine, before, atol=1e-3)


def test_the_smooth_twin_is_gone_after_an_error() -> None:
    model = convnet()
    before = model(images())
    with pytest.raises(ZeroDivisionError), smoothed(model, 8.0):
        raise ZeroDivisionError
    assert torch.equal(model(images()), before)


def test_only_the_smooth_twin_has_curvature() -> None:
    def curvature(model: Classifier) -> float:
        x = images().requires_grad_()
        (gradient,) = torch.autograd.grad(model(x)[:, 0].sum(), x, create_graph=True)
        return float(torch.autograd.grad(gradient.square().sum(), x)[0].abs().max())

    model = convnet()
    assert curvature(model) == 0
    with smoothed(model, 8.0):
        assert curvature(model) > 0


def test_as_audited_runs_in_evaluation_mode_and_restores_every_mode() -> None:
    model = convnet().train()
    frozen = model.network.get_submodule("layers.0")
    frozen.eval()
    with as_audited(model):
        assert not any(module.training for module in model.modules())
        assert torch.equal(model(images()), convnet()(images()))
    assert model.training
    assert model.network.get_submodule("layers.1.1").training
    assert not any(module.training for module in frozen.modules())


def test_as_audited_restores_after_an_error() -> None:
    model = convnet().train()
    with pytest.raises(ZeroDivisionError), as_audited(model):
        raise ZeroDivisionError
    assert all(module.training for module in model.modules())
