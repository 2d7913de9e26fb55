import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from falsewitness.core import DataInfo
from falsewitness.models import _narrow_maps, folded
from falsewitness.models._narrow_maps import convolve_as_usual, lay_narrow_maps_side_by_side
from falsewitness.models.resnet18 import ResNet18

INFO = DataInfo(3, 16, 16, ("one", "other"))  # a CPU without bf16 emulates it: four times as long at 32 pixels


def maps_of(count: int, height: int, width: int, channels: int = 6) -> Tensor:
    maps = torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(count)).bfloat16()
    return maps.contiguous(memory_format=torch.channels_last)


def usual_and_wide(stride: int = 1, *, bias: bool = True) -> tuple[nn.Conv2d, nn.Conv2d]:
    usual = nn.Conv2d(6, 7, 3, stride, padding=1, bias=bias).bfloat16()
    wide = copy.deepcopy(usual)
    lay_narrow_maps_side_by_side(wide)
    return usual, wide


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shapes of what was laid side by side."""
    seen: list[torch.Size] = []
    original = _narrow_maps._side_by_side

    def remembered(maps: Tensor, row: int, gap: int) -> Tensor:
        laid = original(maps, row, gap)
        seen.append(laid.shape)
        return laid

    monkeypatch.setattr(_narrow_maps, "_side_by_side", remembered)
    return seen


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("count", [1, 32, 37, 300])
@pytest.mark.parametrize("size", [(4, 4), (7, 4), (3, 2), (5, 8)])
def test_the_result_and_its_layout_are_those_of_the_usual_convolution(
    stride: int, count: int, size: tuple[int, int]
) -> None:
    usual, wide = usual_and_wide(stride)
    maps = maps_of(count, *size)
    expected, found = usual(maps), wide(maps)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("count", "stride", "width", "expected"),
    [
        (32, 1, 4, (16, 6, 4, 2 * 5)),
        (128, 1, 4, (16, 6, 4, 8 * 5)),
        (128, 2, 8, (16, 6, 4, 8 * 10)),
        (243, 1, 3, (17, 6, 4, 15 * 4)),
        (500, 1, 4, (32, 6, 4, 16 * 5)),
    ],
)
def test_narrow_maps_are_laid_in_at_least_sixteen_rows(
    rows: list[torch.Size], count: int, stride: int, width: int, expected: tuple[int, ...]
) -> None:
    usual_and_wide(stride)[1](maps_of(count, 4, width))
    assert rows == [expected]


@pytest.mark.parametrize(
    ("stride", "maps"),
    [
        (1, maps_of(40, 4, 5)),
        (2, maps_of(40, 4, 10)),
        (2, maps_of(40, 4, 7)),
        (1, maps_of(31, 4, 4)),
    ],
)
def test_other_maps_are_convolved_as_usual(rows: list[torch.Size], stride: int, maps: Tensor) -> None:
    usual, wide = usual_and_wide(stride)
    assert torch.equal(wide(maps), usual(maps))
    assert rows == []


def test_single_precision_is_convolved_as_usual(rows: list[torch.Size]) -> None:
    usual_and_wide()[1].float()(maps_of(40, 4, 4).float())
    assert rows == []


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(6, 6, 1),
        nn.Conv2d(6, 6, 3),
        nn.Conv2d(6, 6, 3, padding=1, groups=2),
        nn.Conv2d(6, 6, 3, padding=1, stride=(1, 2)),
        nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2),
    ],
)
def test_other_convolutions_are_left_alone(convolution: nn.Conv2d, rows: list[torch.Size]) -> None:
    lay_narrow_maps_side_by_side(convolution)
    convolution.bfloat16()(maps_of(40, 4, 4))
    assert rows == []


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [32, 100, 128])
def test_gradients_and_their_gradients_are_as_exact_as_the_usual_ones(count: int, stride: int, *, bias: bool) -> None:
    def gradients(convolution: nn.Conv2d) -> list[Tensor]:
        maps = maps_of(count, 4, 4).to(convolution.weight.dtype).requires_grad_()
        (first,) = torch.autograd.grad(convolution(maps).double().pow(2).sum(), maps, create_graph=True)
        second = torch.autograd.grad(first.double().pow(2).sum(), [maps, convolution.weight])
        return [gradient.detach().double() for gradient in (first, *second)]

    torch.manual_seed(0)
    usual, wide = usual_and_wide(stride, bias=bias)
    exact = gradients(copy.deepcopy(usual).double())
    for truth, of_usual, of_wide in zip(exact, gradients(usual), gradients(wide), strict=True):
        # Both round to bf16, in other places: a hundredth of the largest number, or as much as the usual one.
        allowed = max(float((of_usual - truth).abs().max()), 0.01 * float(truth.abs().max()))
        torch.testing.assert_close(of_wide, truth, rtol=0, atol=allowed)


def test_a_pickled_copy_computes_with_its_own_weights(rows: list[torch.Size]) -> None:
    _, wide = usual_and_wide()
    copied = pickle.loads(pickle.dumps(wide))  # noqa: S301 - our own
    with torch.no_grad():
        wide.weight.zero_()
    maps = maps_of(40, 4, 4)
    assert not torch.equal(copied(maps), wide(maps))
    assert len(rows) == 2


def test_it_can_be_undone(rows: list[torch.Size]) -> None:
    _, wide = usual_and_wide()
    convolve_as_usual(wide)
    wide(maps_of(40, 4, 4))
    assert rows == []


def test_a_copy_computes_with_its_own_weights() -> None:
    _, wide = usual_and_wide()
    copied = copy.deepcopy(wide)
    with torch.no_grad():
        copied.weight.zero_()
    maps = maps_of(3, 4, 4)
    assert not torch.equal(copied(maps), wide(maps))


def test_the_last_maps_of_resnet18_are_laid_in_rows_in_training_and_with_batch_norm_folded(
    rows: list[torch.Size],
) -> None:
    model = ResNet18().bind(INFO, seed=0)
    images = torch.rand(32, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        logits = model.train()(images)
        assert len(rows) == 8
        expected = model.eval()(images)
        with folded(model):
            found = model(images)
    assert len(rows) == 24
    assert logits.shape == (32, 2)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
