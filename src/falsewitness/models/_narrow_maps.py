"""Convolutions of narrow feature maps, which bf16 kernels on a CPU compute slowly one image at a time."""

from types import MethodType
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falsewitness.core.shapes import Features

NARROW = 4
"""Width of the resulting maps up to which laying maps side by side is faster: three times at 4, hardly at 8."""

ROW = 16
"""Maps in a row; more are no faster."""


def lay_narrow_maps_side_by_side(network: nn.Module) -> None:
    """Let the 3x3 convolutions of a network take narrow maps many at a time, where that is faster: on a CPU, in bf16.

    The instructions for bf16 multiply rows of up to 32 numbers at once, and the kernels fill them with the pixels of
    one row of one image: of four pixels, most of the work is for nothing, in the gradient of the weights most of all.
    With columns of zeros between them, which is what the convolution would see beyond their edges, maps are convolved
    as one wide map. The result is the same, and so are its gradients up to rounding. To everybody else the
    convolutions stay what they are.

    Args:
        network: Changed in place.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _fits(module):
            vars(module)["_conv_forward"] = MethodType(_convolve, module)  # by which nn.Conv2d computes


def _fits(convolution: nn.Conv2d) -> bool:
    form = (convolution.kernel_size, convolution.padding, convolution.dilation)
    is_usual = convolution.groups == 1 and convolution.padding_mode == "zeros"
    return form == ((3, 3), (1, 1), (1, 1)) and convolution.stride in ((1, 1), (2, 2)) and is_usual


def _convolve(convolution: nn.Conv2d, maps: Features, weight: Tensor, bias: Tensor | None) -> Features:
    stride, width = convolution.stride[1], maps.shape[3]
    are_slow = maps.device.type == "cpu" and maps.dtype == torch.bfloat16 and width <= NARROW * stride
    if not are_slow or width % stride:
        return cast(Tensor, nn.Conv2d._conv_forward(convolution, maps, weight, bias))
    rows = _side_by_side(maps, gap=stride)
    return _apart(F.conv2d(rows, weight, bias, stride, padding=1), len(maps))


def _side_by_side(maps: Features, gap: int) -> Features:
    """Return ``[rows, channels, height, ROW * (width + gap)]``: each map followed by columns of zeros."""
    padded = F.pad(maps.permute(0, 2, 3, 1), (0, 0, 0, gap, 0, 0, 0, -len(maps) % ROW))
    return padded.unflatten(0, (-1, ROW)).transpose(1, 2).flatten(2, 3).permute(0, 3, 1, 2)


def _apart(rows: Features, count: int) -> Features:
    """Return ``count`` maps of rows, each without the last of its columns, which lay between the maps."""
    maps = rows.permute(0, 2, 3, 1).unflatten(2, (ROW, -1))[:, :, :, :-1].transpose(1, 2)
    return maps.flatten(0, 1)[:count].contiguous().permute(0, 3, 1, 2)
