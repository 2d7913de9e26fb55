from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from falsewitness.core import DataInfo, SpecError
from falsewitness.models import Architecture, Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.efficientnet_b0 import EfficientNetB0
from falsewitness.models.resnet18 import ResNet18
from falsewitness.models.resnet20 import ResNet20


def info_of(size: int, channels: int = 3, classes: int = 10) -> DataInfo:
    return DataInfo(channels, size, size, tuple(f"class {index}" for index in range(classes)))


def weights_in(model: Classifier) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def map_side(architecture: Architecture, size: int) -> int:
    model = architecture.bind(info_of(size), seed=0)
    features = model.features(torch.rand(1, 3, size, size))
    assert features.shape[2] == features.shape[3]
    return int(features.shape[2])


@pytest.mark.parametrize(
    ("architecture", "sides"),
    [
        (ResNet18(), {28: 4, 32: 4, 64: 8, 65: 3, 96: 3}),
        (EfficientNetB0(), {28: 4, 32: 4, 64: 8, 65: 3, 96: 3}),
        (ResNet20(), {28: 7, 32: 8, 64: 16}),
        (ConvNet(), {8: 2, 28: 7, 32: 8}),
        (ConvNet(strides=(1, 1, 1, 2)), {8: 4, 32: 16}),
    ],
)
def test_the_last_map_has_the_documented_size(architecture: Architecture, sides: dict[int, int]) -> None:
    assert {size: map_side(architecture, size) for size in sides} == sides


def test_the_longer_side_decides_whether_an_image_is_small() -> None:
    model = ResNet18().bind(DataInfo(3, 32, 96, ("one", "other")), seed=0)
    assert model.features(torch.rand(1, 3, 32, 96)).shape[2:] == (1, 3)


@pytest.mark.parametrize(
    ("architecture", "size", "count"),
    [
        (
            ResNet20(),
            32,
            269_722,
        ),  # "0.27M", He et al. 2016, table 6; this count with option A and biases of fc
        (ResNet18(), 32, 11_173_962),
        (ResNet18(), 224, 11_181_642),
        (EfficientNetB0(), 224, 4_020_358),
        (ConvNet(), 32, 94_762),
    ],
)
def test_the_number_of_weights_is_the_published_one(architecture: Architecture, size: int, count: int) -> None:
    assert weights_in(architecture.bind(info_of(size), seed=0)) == count


@pytest.mark.parametrize(("architecture", "name"), [(ResNet18(), "resnet18"), (EfficientNetB0(), "efficientnet_b0")])
def test_large_images_get_the_network_as_timm_makes_it(architecture: Architecture, name: str) -> None:
    import timm

    model = architecture.bind(info_of(96), seed=3)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        published = timm.create_model(name, num_classes=10).eval()
    images = torch.rand(2, 3, 96, 96)
    assert torch.equal(model(images), published((images - 0.5) / 0.5))


def slow_batch_norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    def part(suffix: str) -> Tensor:
        return weights[f"{name}.{suffix}"][None, :, None, None]

    return (x - part("running_mean")) / torch.sqrt(part("running_var") + 1e-5) * part("weight") + part("bias")


def slow_resnet20(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """He et al. 2016: 3x3 convolutions, maps of 32, 16 and 8, a shortcut around every two layers."""
    x = slow_batch_norm(F.conv2d(x, weights["conv1.weight"], padding=1), weights, "bn1").clamp(min=0)
    for stage in (1, 2, 3):
        for block in (0, 1, 2):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            inner = F.conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1)
            inner = slow_batch_norm(inner, weights, f"{name}.bn1").clamp(min=0)
            inner = F.conv2d(inner, weights[f"{name}.conv2.weight"], padding=1)
            inner = slow_batch_norm(inner, weights, f"{name}.bn2")
            shortcut = torch.zeros_like(inner)
            new = inner.shape[1] - x.shape[1]
            shortcut[:, new // 2 : new // 2 + x.shape[1]] = x[:, :, ::stride, ::stride]
            x = (inner + shortcut).clamp(min=0)
    return x.mean((2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]


def test_resnet20_computes_what_its_paper_says() -> None:
    model = ResNet20().bind(info_of(32), seed=0).double()
    for name, tensor in model.network.state_dict().items():
        if "bn" in name and tensor.dtype.is_floating_point:
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    weights = dict(model.network.state_dict())
    assert torch.allclose(model(images), slow_resnet20(weights, model.normalised(images)))


def test_a_convnet_doubles_its_channels_wherever_it_halves_the_image() -> None:
    model = ConvNet(width=5, strides=(1, 2, 1, 2)).bind(info_of(12), seed=0)
    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [module.out_channels for module in convolutions] == [5, 10, 10, 20]
    assert model.features(torch.rand(1, 3, 12, 12)).shape == (1, 20, 3, 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 0), ("width", 10**6), ("strides", []), ("strides", [3]), ("strides", [1] * 9)],
)
def test_a_convnet_of_an_absurd_size_is_refused(field: str, value: Any) -> None:  # noqa: ANN401
    with pytest.raises(SpecError, match=field):
        ConvNet.parse({field: value}, "model")


@pytest.mark.parametrize("architecture", [ConvNet(), ResNet20(), ResNet18()])
def test_no_activation_module_is_used_twice_or_works_in_place(architecture: Architecture) -> None:
    model = architecture.bind(info_of(32), seed=0)
    calls: list[torch.nn.Module] = []
    for module in model.modules():
        if isinstance(module, torch.nn.ReLU):
            assert not module.inplace
            module.register_forward_hook(lambda module, _inputs, _output: calls.append(module))
    model(torch.rand(1, 3, 32, 32))
    assert calls
    assert len(calls) == len(set(calls))


@pytest.mark.parametrize("architecture", [ConvNet(), ResNet20(), ResNet18()])
@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
def test_captums_deep_lift_adds_up_to_the_score_it_explains(architecture: Architecture) -> None:
    from captum.attr import DeepLift

    model = architecture.bind(info_of(32), seed=0)
    images, nothing = (
        torch.rand(2, 3, 32, 32, requires_grad=True),
        torch.zeros(2, 3, 32, 32, requires_grad=True),
    )
    attributions = DeepLift(model).attribute(images, nothing, target=1)
    difference = (model(images) - model(nothing))[:, 1]
    assert torch.allclose(attributions.sum((1, 2, 3)), difference, atol=1e-4)


def test_seeds_decide_the_weights_and_nothing_else_is_drawn_from() -> None:
    before = torch.get_rng_state()
    first, again, other = (ConvNet().bind(info_of(8), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(first(images), again(images))
    assert not torch.equal(first(images), other(images))


@pytest.mark.parametrize("architecture", [ConvNet(pretrained="hub"), ResNet20(pretrained="hub")])
def test_weights_that_nobody_publishes_are_a_fault(architecture: Architecture) -> None:
    (fault,) = architecture.check(info_of(32))
    assert fault.path == "pretrained"
    assert f"'hub', which has no weights of '{architecture.kind}'" in fault.message


def test_the_small_stem_of_resnet18_takes_no_weights_from_the_hub() -> None:
    (fault,) = ResNet18(pretrained="hub").check(info_of(64))
    assert fault.path == "pretrained"
    assert "images up to 64 pixels" in fault.message
    assert ResNet18(pretrained="hub").check(info_of(65)) == []
