import pytest
import torch
from torch import Tensor, nn

from falsewitness.core import DataInfo
from falsewitness.models.resnet20 import ResNet20, _every


@pytest.mark.parametrize("size", [32, 28, 15])
@pytest.mark.parametrize("training", [True, False])
def test_no_gradient_leaves_the_memory_format_that_is_fast_on_a_cpu(size: int, training: bool) -> None:
    model = ResNet20().bind(DataInfo(3, size, size, ("one", "two")), seed=0).to(memory_format=torch.channels_last)
    kept: dict[str, bool] = {}

    def watch(name: str) -> None:
        def note(gradient: Tensor) -> None:
            kept[name] = gradient.is_contiguous(memory_format=torch.channels_last)

        def look(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if output.ndim == 4:
                output.register_hook(note)

        model.get_submodule(name).register_forward_hook(look)

    for name, _ in model.named_modules():
        watch(name)
    model.train(training)(torch.rand(2, 3, size, size)).square().sum().backward()
    assert len(kept) > 60
    assert all(kept.values()), [name for name, fine in kept.items() if not fine]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [8, 7])
def test_pooling_over_single_pixels_takes_the_pixels_that_slicing_takes(stride: int, size: int) -> None:
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            assert torch.equal(_every(stride, x), x[:, :, ::stride, ::stride])
    (pooled,) = torch.autograd.grad(_every(stride, x).square().sum(), x)
    (sliced,) = torch.autograd.grad(x[:, :, ::stride, ::stride].square().sum(), x)
    assert torch.equal(pooled, sliced)
