from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from timm.layers.config import use_fused_attn

from falsewitness.core import DataInfo, InputError, SpecError
from falsewitness.models.efficientnet_b0 import EfficientNetB0
from falsewitness.models.timm import Timm

COLOUR = DataInfo(3, 64, 64, ("one", "two", "three"))
GREY = DataInfo(1, 64, 64, ("one", "two", "three"))
SQUARE = DataInfo(3, 224, 224, ("one", "two", "three"))


def test_any_convolutional_network_is_had_by_its_name() -> None:
    model = Timm(name="test_resnet").bind(COLOUR, seed=0)
    assert isinstance(model.network, timm.models.resnet.ResNet)
    assert model.features(torch.rand(2, 3, 64, 64)).shape == (2, 96, 2, 2)
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 3)


def test_a_name_may_carry_the_tag_of_its_weights() -> None:
    assert Timm(name="test_resnet.r160_in1k").bind(GREY, seed=0)(torch.rand(1, 1, 64, 64)).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "near"), [("resnt18", "resnet18"), ("resnet18.a1_in2k", "resnet18.a1_in1k"), ("?", "")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(SpecError, match=r"name: timm has no network .* the nearest names are") as caught:
        Timm.parse({"name": name}, "model")
    assert near in str(caught.value)


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18.a1_in1k", "local-dir:/tmp/somewhere"])
def test_a_name_cannot_point_to_a_repository_or_a_folder(name: str) -> None:
    with pytest.raises(SpecError, match="timm has no network"):
        Timm.parse({"name": name}, "model")


@pytest.mark.parametrize(
    ("name", "info", "shape"),
    [
        ("levit_128s", SQUARE, r"\(1, 16, 384\)"),
        ("xcit_nano_12_p16_224", SQUARE, r"\(1, 197, 128\)"),
    ],
)
def test_a_network_without_feature_maps_is_refused_in_one_line(name: str, info: DataInfo, shape: str) -> None:
    with pytest.raises(SpecError, match=f"name: '{name}' gives features of shape {shape}, expected") as caught:
        Timm(name=name).bind(info, seed=0)
    assert len(caught.value.faults) == 1
    assert str(caught.value).endswith("choose a convolutional network or a plain vision transformer")


@pytest.mark.parametrize(
    ("name", "info", "fault"),
    [
        ("test_maxvit", DataInfo(3, 40, 24, ("one", "two")), "cannot be built for images of 40x24 pixels: Trying"),
        ("test_maxvit", DataInfo(3, 7, 7, ("one", "two")), "cannot take images of 7x7 pixels: integer modulo by zero"),
    ],
)
def test_a_network_that_cannot_take_images_of_this_size_is_refused_in_one_line(
    name: str, info: DataInfo, fault: str
) -> None:
    with pytest.raises(SpecError, match=f"name: '{name}' {fault}") as caught:
        Timm(name=name).bind(info, seed=0)
    assert str(caught.value).count("\n") == 1


def test_patches_that_leave_out_pixels_at_the_border_are_refused_in_one_line() -> None:
    info = DataInfo(1, 28, 28, ("one", "two"))
    with pytest.raises(
        SpecError, match=r"patch_size: expected patches that divide 28x28 .*'test_vit', 16x16"
    ) as caught:
        Timm(name="test_vit").bind(info, seed=0)
    assert str(caught.value).count("\n") == 1
    assert Timm(name="test_vit", patch_size=7).bind(info, seed=0).features(torch.rand(1, 1, 28, 28)).shape[2:] == (4, 4)


def test_patches_of_a_network_without_any_are_refused_in_one_line() -> None:
    with pytest.raises(SpecError, match=r"patch_size: expected null, as 'test_resnet' .*, got 8") as caught:
        Timm(name="test_resnet", patch_size=8).bind(COLOUR, seed=0)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_byobnet", "mobilevit_xxs"])
def test_nothing_in_a_network_works_in_place_or_attends_in_one_kernel(name: str) -> None:
    before = use_fused_attn()
    model = Timm(name=name).bind(COLOUR, seed=0)
    for module in model.modules():
        assert getattr(module, "inplace", False) is False
        assert getattr(module, "fused_attn", False) is False
    assert use_fused_attn() == before


def test_attention_inside_a_convolutional_network_has_second_derivatives() -> None:
    model = Timm(name="mobilevit_xxs").bind(COLOUR, seed=0)
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(images)[0, 0], images, create_graph=True)
    weight = model.get_parameter("network.stages.2.1.transformer.0.attn.qkv.weight")
    (second,) = torch.autograd.grad(gradient.square().sum(), weight)
    assert second.abs().max() > 0


CreateModel = Callable[..., Any]


def pretend(monkeypatch: pytest.MonkeyPatch, create: CreateModel) -> None:
    monkeypatch.setattr(timm, "create_model", create)


def test_hub_weights_bring_their_own_normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    original = timm.create_model
    asked: list[bool] = []

    def create(name: str, *, pretrained: bool, in_chans: int, num_classes: int) -> torch.nn.Module:
        asked.append(pretrained)
        network: torch.nn.Module = original(name, in_chans=in_chans, num_classes=num_classes)
        return network

    pretend(monkeypatch, create)
    architecture = EfficientNetB0(pretrained="hub")
    colour = architecture.bind(COLOUR, seed=0, mean=(0.1, 0.1, 0.1), std=(0.9, 0.9, 0.9))
    assert colour.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert colour.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    grey = architecture.bind(GREY, seed=0)
    assert grey.mean.flatten().tolist() == pytest.approx([(0.485 + 0.456 + 0.406) / 3])
    assert grey.std.flatten().tolist() == pytest.approx([(0.229 + 0.224 + 0.225) / 3])
    fresh = EfficientNetB0().bind(COLOUR, seed=0, mean=(0.1, 0.1, 0.1), std=(0.9, 0.9, 0.9))
    assert fresh.mean.flatten().tolist() == pytest.approx([0.1, 0.1, 0.1])
    assert asked == [True, True, False]


@pytest.mark.parametrize(
    "error", [FileNotFoundError("no route to the hub\nsecond line"), RuntimeError("no route to the hub")]
)
def test_a_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    original = timm.create_model

    def create(name: str, *, pretrained: bool, in_chans: int, num_classes: int) -> torch.nn.Module:
        if pretrained:
            raise error
        network: torch.nn.Module = original(name, in_chans=in_chans, num_classes=num_classes)
        return network

    pretend(monkeypatch, create)
    with pytest.raises(InputError, match="cannot be had from the hub: no route to the hub; check") as caught:
        Timm(name="test_resnet", pretrained="hub").bind(COLOUR, seed=0)
    assert "\n" not in str(caught.value)


def test_without_hub_a_fault_of_timm_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(*_arguments: object, **_options: object) -> torch.nn.Module:
        raise RuntimeError("a bug")

    pretend(monkeypatch, create)
    with pytest.raises(RuntimeError, match="a bug"):
        Timm(name="test_resnet").bind(COLOUR, seed=0)
