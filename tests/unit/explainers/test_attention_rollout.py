from typing import Any

import numpy as np
import pytest
import torch
from timm.layers.diff_attention import DiffAttention
from timm.models import Beit, Eva, SwinTransformer, VisionTransformer, VisionTransformerRelPos
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import ParallelThingsBlock
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.core.maps import minmax, upsampled
from falsewitness.explainers.attention_rollout import AttentionRollout, Heads
from falsewitness.explainers.gradcam import GradCam
from falsewitness.models import Classifier
from falsewitness.models.resnet20 import ResNet20
from falsewitness.models.timm import Timm

INFO = DataInfo(3, 24, 40, ("one", "two", "three"))
SIZE: dict[str, Any] = {"img_size": (24, 40), "patch_size": 8, "embed_dim": 32, "num_heads": 4, "num_classes": 3}


def images(batch: int = 3) -> Tensor:
    return torch.rand(batch, 3, INFO.height, INFO.width, generator=torch.Generator().manual_seed(0))


def classifier(network: nn.Module) -> Classifier:
    return Classifier(network, mean=(0.5,), std=(0.25,), info=INFO).eval()


def vit(cls: type[VisionTransformer] = VisionTransformer, **options: Any) -> Classifier:  # noqa: ANN401
    torch.manual_seed(0)
    network = cls(**(SIZE | {"depth": 3} | options))
    for block in network.blocks:
        nn.init.normal_(block.attn.qkv.weight, std=0.5)  # type: ignore[union-attr, arg-type]
    return classifier(network)


def attention_of(model: Classifier, image: Tensor) -> list[Tensor]:
    """Softmax of queries and keys in every block, from the block's input: without a look at the softmax inside."""
    network, found = model.network, []
    inputs: list[Tensor] = []
    handles = [
        block.register_forward_pre_hook(lambda _block, arguments: inputs.append(arguments[0]))
        for block in network.blocks  # type: ignore[union-attr]
    ]
    model(image[None])
    for handle in handles:
        handle.remove()
    for block, tokens in zip(network.blocks, inputs, strict=True):  # type: ignore[arg-type]
        heads, width = block.attn.num_heads, block.attn.head_dim
        queries_keys_values = block.attn.qkv(block.norm1(tokens))[0].view(-1, 3, heads, width)
        queries, keys, _ = queries_keys_values.unbind(1)
        found.append((torch.einsum("qhd,khd->hqk", queries, keys) / width**0.5).softmax(-1).detach())
    return found


def paper_rollout(model: Classifier, image: Tensor, heads: str, read: list[int], prefix: int) -> list[list[float]]:
    """Abnar and Zuidema 2020, equation 1: products of whole matrices, one number after the other."""
    total: list[list[float]] | None = None
    for attention in attention_of(model, image):
        count = attention.shape[1]
        mixed = [[0.0] * count for _ in range(count)]
        for i in range(count):
            for j in range(count):
                of_heads = [float(head[i, j]) for head in attention]
                fused = {"mean": sum(of_heads) / len(of_heads), "max": max(of_heads), "min": min(of_heads)}[heads]
                mixed[i][j] = fused + (1.0 if i == j else 0.0)
            row = sum(mixed[i])
            mixed[i] = [value / row for value in mixed[i]]
        total = mixed if total is None else (np.array(mixed) @ np.array(total)).tolist()
    assert total is not None
    shares = [sum(total[i][j] for i in read) / len(read) for j in range(len(total))][prefix:]
    return [shares[5 * row : 5 * row + 5] for row in range(3)]


AVERAGED: dict[str, Any] = {"class_token": False, "global_pool": "avg"}


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
@pytest.mark.parametrize(
    ("cls", "options", "read", "prefix"),
    [
        (VisionTransformer, {}, [0], 1),
        (VisionTransformer, {"reg_tokens": 2}, [0], 3),
        (VisionTransformer, AVERAGED, [*range(15)], 0),
        (VisionTransformer, AVERAGED | {"reg_tokens": 2}, [*range(2, 17)], 2),
        (VisionTransformer, AVERAGED | {"reg_tokens": 2, "pool_include_prefix": True}, [*range(17)], 2),
        (VisionTransformerDistilled, {}, [0, 1], 2),
    ],
    ids=["class token", "registers", "averaged", "averaged, registers", "all averaged", "distilled"],
)
def test_maps_are_those_of_the_paper(
    cls: type[VisionTransformer], options: dict[str, Any], read: list[int], prefix: int, heads: Heads
) -> None:
    model = vit(cls, **options).double()
    pixels = images(2).double()
    logits, maps = AttentionRollout(heads=heads).bind(model)(pixels)
    expected = torch.tensor([paper_rollout(model, image, heads, read, prefix) for image in pixels])
    assert torch.allclose(maps, expected.double(), atol=1e-12)
    assert torch.allclose(logits, model(pixels))
    assert maps.std() > 0


def test_where_every_token_attends_to_all_alike_the_shares_are_known() -> None:
    model = vit().double()
    with torch.no_grad():
        for block in model.network.blocks:  # type: ignore[union-attr]
            block.attn.qkv.weight.zero_()
    maps = AttentionRollout().bind(model)(images().double()).maps
    assert torch.allclose(maps, torch.full_like(maps, (1 - 0.5**3) / 16))


def test_shares_of_averaged_patches_add_up_to_one() -> None:
    maps = AttentionRollout().bind(vit(**AVERAGED))(images()).maps
    assert torch.allclose(maps.sum((1, 2)), torch.ones(3))


def test_the_map_is_the_same_for_every_class() -> None:
    explain = AttentionRollout().bind(vit())
    first, second = (explain(images(), torch.full((3,), number)).maps for number in (0, 2))
    assert torch.equal(first, second)
    logits, columns = explain.columns(images())
    assert columns.shape == (3, 3, 3, 5)
    assert torch.equal(columns, first[:, None].expand(-1, 3, -1, -1))
    assert torch.equal(logits, explain.model(images()))


def test_attention_is_read_before_dropout() -> None:
    model = vit(attn_drop_rate=0.5)
    expected = AttentionRollout().bind(model)(images()).maps
    explain = AttentionRollout().bind(model.train())
    maps = explain.differentiable(images()).maps
    assert torch.allclose(maps.sum((1, 2)), expected.sum((1, 2)), rtol=0.2)
    assert torch.equal(AttentionRollout().bind(model.eval())(images()).maps, expected)


def test_maps_of_half_precision_are_computed_in_single() -> None:
    explain = AttentionRollout().bind(vit())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = explain.differentiable(images()).maps
    exact = explain(images()).maps
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.1 * exact.norm()


def test_no_hook_is_left_behind_even_by_an_error() -> None:
    explain = AttentionRollout().bind(vit())
    with pytest.raises(AssertionError, match="Input height"):
        explain(torch.rand(1, 3, 16, 16))
    assert not any(module._forward_pre_hooks for module in explain.model.modules())


@pytest.mark.parametrize("cls", [Beit, Eva, VisionTransformerRelPos])
def test_relatives_of_the_plain_transformer_are_explained_too(cls: type[nn.Module]) -> None:
    explain = AttentionRollout().bind(classifier(cls(**SIZE, depth=2)))
    maps = explain(images()).maps
    assert maps.shape == (3, 3, 5)
    assert (maps.sum((1, 2)) < 1 + 1e-5).all()
    assert (maps > 0).all()


def swin() -> Classifier:
    return classifier(SwinTransformer(img_size=(24, 40), window_size=2, embed_dim=16, depths=(1,), num_heads=(2,)))


@pytest.mark.parametrize(
    ("model", "got"),
    [
        (ResNet20().bind(INFO, seed=0), "'resnet20'"),
        (swin(), "'SwinTransformer'"),
        (classifier(VisionTransformer(**SIZE, depth=1, class_token=False, global_pool="map")), "pooling 'map'"),
        (classifier(VisionTransformer(**SIZE, depth=2, block_fn=ParallelThingsBlock)), "blocks of another build"),
        (classifier(VisionTransformer(**SIZE, depth=1, attn_layer=DiffAttention)), "blocks with DiffAttention"),
    ],
    ids=["resnet20", "swin", "attention pooling", "parallel blocks", "differential attention"],
)
def test_other_models_are_refused_in_one_line_when_it_is_bound(model: Classifier, got: str) -> None:
    with pytest.raises(InputError, match=f"expected a vision transformer of timm .*, got {got}; choose") as caught:
        AttentionRollout().bind(model)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "prefix"), [("test_vit", 1), ("test_vit2", 1)])
def test_pytorch_grad_cam_gives_the_same_gradcam_of_a_transformer(name: str, prefix: int) -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = Timm(name=name, patch_size=8).bind(INFO, seed=0)
    layer = model.network.get_submodule("blocks.5.norm1")

    def on_grid(tokens: Tensor) -> Tensor:
        return tokens[:, prefix:].reshape(len(tokens), 3, 5, -1).permute(0, 3, 1, 2)

    with GradCAM(model=model, target_layers=[layer], reshape_transform=on_grid) as second_opinion:
        wanted = [ClassifierOutputTarget(number) for number in range(3)]
        heat = second_opinion(input_tensor=images(), targets=wanted)
    maps = GradCam(layer="blocks.5.norm1").bind(model)(images(), torch.arange(3)).maps
    ours = minmax(upsampled(minmax(maps), (24, 40)))
    assert np.abs(heat - ours.numpy()).max() < 1e-3
    if name == "test_vit":
        assert torch.equal(GradCam().bind(model)(images(), torch.arange(3)).maps, maps)
