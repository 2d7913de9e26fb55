import copy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.models import SwinTransformer, VisionTransformer
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.models import Classifier, load_classifier, save_classifier
from falsewitness.models.timm import Timm

INFO = DataInfo(3, 32, 32, ("one", "two", "three"))
OBLONG = DataInfo(3, 24, 40, ("one", "two", "three"))


def images(info: DataInfo = INFO, batch: int = 2) -> Tensor:
    shape = (batch, info.channels, info.height, info.width)
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def classifier(network: nn.Module, info: DataInfo = INFO) -> Classifier:
    return Classifier(network, mean=(0.5,), std=(0.25,), info=info).eval()


def vit(info: DataInfo = INFO, **options: Any) -> Classifier:  # noqa: ANN401
    torch.manual_seed(0)
    size: dict[str, Any] = {
        "img_size": (info.height, info.width),
        "patch_size": 8,
        "embed_dim": 32,
        "depth": 3,
        "num_heads": 2,
    }
    return classifier(VisionTransformer(**(size | options), num_classes=3), info)


def swin() -> Classifier:
    torch.manual_seed(0)
    network = SwinTransformer(
        img_size=32, patch_size=4, window_size=4, embed_dim=16, depths=(1, 2), num_heads=(2, 2), num_classes=3
    )
    return classifier(network)


AVERAGED: dict[str, Any] = {"class_token": False, "global_pool": "avg"}
NETWORKS: dict[str, dict[str, Any]] = {
    "class token": {},
    "class and register tokens": {"reg_tokens": 2},
    "averaged": AVERAGED,
    "averaged behind register tokens": AVERAGED | {"reg_tokens": 2},
    "averaged after the norm": AVERAGED | {"fc_norm": False},
    "attention pooling": {"class_token": False, "global_pool": "map"},
}


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS.keys())
def test_patches_are_laid_out_as_a_feature_map_and_logits_stay_those_of_the_network(options: dict[str, Any]) -> None:
    model = vit(OBLONG, **options)
    expected = model.network(model.normalised(images(OBLONG)))
    logits, features = model.with_activation(images(OBLONG))
    assert features.shape == (2, 32, 3, 5)
    assert torch.equal(logits, expected)
    assert torch.equal(model(images(OBLONG)), expected)
    assert torch.equal(model.features(images(OBLONG)), features)


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS.keys())
def test_a_patch_lies_where_its_pixels_lie(options: dict[str, Any]) -> None:
    model = vit(OBLONG, **options)
    changed = images(OBLONG)
    changed[:, :, 8:16, 24:32] = 0
    before, after = (model.with_activation(x, "norm_pre")[1] for x in (images(OBLONG), changed))
    moved = (before != after).any(1)
    assert moved[:, 1, 3].all()
    assert moved.sum() == 2


@pytest.mark.parametrize("layer", [None, "blocks.0", "blocks.1.norm1", "blocks.2.attn.qkv", "patch_embed"])
def test_gradients_by_the_map_are_those_by_the_tokens(layer: str | None) -> None:
    model = vit(reg_tokens=1)
    logits, features = model.with_activation(images(), layer)
    (slopes,) = torch.autograd.grad(logits[:, 0].sum(), features)
    tokens: list[Tensor] = []
    handle = model.network.get_submodule(layer or "blocks.2.norm1").register_forward_hook(
        lambda _module, _inputs, output: tokens.append(output)
    )
    (expected,) = torch.autograd.grad(model(images())[:, 0].sum(), tokens)
    handle.remove()
    assert torch.allclose(slopes.flatten(2), expected[:, -16:].transpose(1, 2), rtol=1e-4, atol=1e-7)
    assert slopes.abs().max() > 0


@pytest.mark.parametrize(
    ("options", "layer"),
    [
        ({}, "blocks.2.norm1"),
        ({"reg_tokens": 2}, "blocks.2.norm1"),
        ({"block_fn": timm.models.vision_transformer.ParallelThingsBlock}, "blocks.1"),
        ({"block_fn": timm.models.vision_transformer.ResPostBlock}, "blocks.1"),
        (AVERAGED, None),
        ({"class_token": False, "global_pool": "map"}, None),
    ],
)
def test_the_last_map_is_the_last_that_the_logits_depend_on(options: dict[str, Any], layer: str | None) -> None:
    model = vit(**options)
    assert model.feature_layer == layer
    assert model.gradients_reach()
    logits, features = model.with_activation(images())
    (slopes,) = torch.autograd.grad(logits[:, 0].sum(), features)
    assert slopes.abs().max() > 0


@pytest.mark.parametrize("layer", ["norm", "blocks.2", "blocks.2.norm2", "blocks.2.mlp", "blocks.2.attn.proj"])
def test_no_gradient_reaches_patches_that_the_class_token_does_not_read(layer: str) -> None:
    model = vit()
    logits, features = model.with_activation(images(), layer)
    (slopes,) = torch.autograd.grad(logits[:, 0].sum(), features)
    assert not slopes.any()
    assert not model.gradients_reach(layer)


@pytest.mark.parametrize("layer", ["blocks.0", "blocks.1.mlp", "blocks.2.norm1", "blocks.2.attn.qkv", "patch_embed"])
def test_gradients_reach_patches_that_the_class_token_reads(layer: str) -> None:
    model = vit().train().requires_grad_(False)
    with torch.no_grad():
        assert model.gradients_reach(layer)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_a_head_of_zeros_is_not_taken_for_a_layer_that_is_not_read() -> None:
    model = vit()
    with torch.no_grad():
        model.get_parameter("network.head.weight").zero_()
    assert model.gradients_reach()


def test_no_gradient_reaches_a_layer_beside_the_way_to_the_logits() -> None:
    model = vit()
    model.network.beside = nn.Identity()
    model.network.get_submodule("blocks.0").register_forward_hook(
        lambda _block, _inputs, tokens: (model.network.get_submodule("beside")(tokens), tokens)[1]
    )
    assert model.gradients_reach("blocks.0")
    assert not model.gradients_reach("beside")


def test_gradients_reach_every_map_of_a_network_without_tokens() -> None:
    assert swin().gradients_reach("layers.0")


@pytest.mark.parametrize(
    ("options", "is_linear"),
    [
        ({}, False),
        (AVERAGED, False),
        (AVERAGED | {"fc_norm": False}, True),
        (AVERAGED | {"fc_norm": False, "reg_tokens": 2}, True),
        (AVERAGED | {"fc_norm": False, "reg_tokens": 2, "pool_include_prefix": True}, False),
        ({"class_token": False, "global_pool": "map"}, False),
        ({"class_token": False, "global_pool": "max"}, False),
    ],
)
def test_a_head_is_linear_where_the_average_of_the_map_gives_the_logits(
    options: dict[str, Any], is_linear: bool
) -> None:
    model = vit(**options)
    head = model.linear_head
    assert (head is not None) == is_linear
    if head is not None:
        expected = model.features(images()).mean((2, 3)) @ head.weight.T + head.bias
        assert torch.allclose(model(images()), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "has_head"), [(AVERAGED, True), (AVERAGED | {"reg_tokens": 1}, False), ({}, False)]
)
def test_a_map_alone_gives_the_logits_only_where_there_are_no_other_tokens(
    options: dict[str, Any], has_head: bool
) -> None:
    model = vit(**options)
    features = model.features(images())
    if has_head:
        assert torch.equal(model.head(features), model(images()))
    else:
        with pytest.raises(InputError, match="class or register tokens, has no separate head"):
            model.head(features)


def test_channels_that_come_last_are_brought_to_the_front() -> None:
    model = swin()
    logits, features = model.with_activation(images())
    raw = model.network.forward_features(model.normalised(images()))  # type: ignore[operator]
    assert raw.shape == (2, 4, 4, 32)
    assert torch.equal(features, raw.permute(0, 3, 1, 2))
    assert torch.equal(logits, model.network(model.normalised(images())))
    assert torch.equal(model.head(features), logits)
    assert model.linear_head is not None
    assert model.with_activation(images(), "layers.0")[1].shape == (2, 16, 8, 8)
    (slopes,) = torch.autograd.grad(logits[:, 0].sum(), features)
    assert slopes.abs().max() > 0


@pytest.mark.parametrize("model", [vit(), swin()], ids=["tokens", "channels last"])
def test_a_convolution_gives_a_map_as_it_is(model: Classifier) -> None:
    features = model.with_activation(images(), "patch_embed.proj")[1]
    expected = model.network.get_submodule("patch_embed.proj")(model.normalised(images()))
    assert torch.equal(features, expected)


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (vit(), "blocks.0.attn.attn_drop"),
        (vit(), "blocks.0.attn.q_norm"),
        (vit(), "head"),
        (vit(), "norm.weight"),
        (vit(), "fc_norm"),
        (swin(), "layers.0.blocks.0.attn.softmax"),
        (swin(), "layers.1.blocks.0.attn.softmax"),
        (swin(), "layers.0.blocks.0.attn"),
        (swin(), "layers.0.blocks.0.mlp"),
    ],
)
def test_what_does_not_lie_over_the_image_is_refused_and_leaves_no_hook(model: Classifier, layer: str) -> None:
    with pytest.raises(InputError, match=rf"(expected layer '{layer}' to give a feature map|has no layer '{layer}')"):
        model.with_activation(images(), layer)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_strangers_transformer_can_be_wrapped() -> None:
    inner = vit()
    model = Classifier.wrap(inner.network, feature_layer="blocks.2.norm1", mean=(0.5,), std=(0.25,))
    logits, features = model.with_activation(images())
    assert torch.equal(logits, inner(images()))
    assert torch.equal(features, inner.features(images()))
    assert model.gradients_reach()
    assert not model.gradients_reach("norm")


def test_a_copy_is_a_classifier_of_its_own() -> None:
    model = vit()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.get_parameter("network.patch_embed.proj.weight").zero_()
    assert not torch.equal(twin.features(images()), model.features(images()))


def test_attention_has_second_derivatives() -> None:
    model = vit()
    pixels = images().requires_grad_()
    (gradient,) = torch.autograd.grad(model(pixels)[:, 0].sum(), pixels, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), model.get_parameter("network.blocks.0.attn.qkv.weight"))
    assert second.abs().max() > 0


SMALL = [("test_vit", 8, 32, 3), ("test_vit", 7, 28, 1), ("test_vit2", 8, 32, 3), ("test_vit_relpos", 8, 32, 1)]


@pytest.mark.parametrize(("name", "patch_size", "size", "channels"), SMALL)
def test_a_transformer_of_timm_for_small_images_comes_back_from_a_file(
    name: str, patch_size: int, size: int, channels: int, tmp_path: Path
) -> None:
    info = DataInfo(channels, size, size, ("one", "two", "three"))
    architecture = Timm(name=name, patch_size=patch_size)
    model = architecture.bind(info, seed=1)
    assert model.features(images(info)).shape[2:] == (4, 4)
    shapes = {name: tensor.shape for name, tensor in model.network.state_dict().items()}
    assert {name: tensor.shape for name, tensor in architecture.blueprint(info).items()} == shapes
    save_classifier(model, tmp_path / "model.safetensors")
    loaded = load_classifier(tmp_path / "model.safetensors")
    assert torch.equal(loaded(images(info)), model(images(info)))
    assert (loaded.architecture, loaded.info, loaded.feature_layer) == (architecture, info, model.feature_layer)


@pytest.mark.parametrize("name", ["test_vit", "test_vit2"])
def test_a_transformer_of_timm_takes_a_batch_without_images(name: str) -> None:
    model = Timm(name=name, patch_size=8).bind(INFO, seed=0)
    assert model(images()[:0]).shape == (0, 3)
    assert model.features(images()[:0]).shape == (0, 64, 4, 4)


@pytest.mark.parametrize("name", ["test_vit", "test_vit2"])
def test_weights_of_larger_patches_are_fitted_to_smaller_ones_by_timm(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, asked = timm.create_model, []

    def create(name: str, *, pretrained: bool, **options: Any) -> nn.Module:  # noqa: ANN401
        asked.append((pretrained, options["img_size"], options["patch_size"]))
        network: nn.Module = original(name, **options)
        return network

    monkeypatch.setattr(timm, "create_model", create)
    Timm(name=name, patch_size=8, pretrained="hub").bind(OBLONG, seed=0)
    assert asked[-1] == (True, (24, 40), 8)
