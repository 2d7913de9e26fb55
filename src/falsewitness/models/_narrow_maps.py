"""Convolutions of narrow feature maps, which bf16 kernels on a CPU compute slowly one image at a time."""

from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falsewitness.core.precision import FEWEST_FOR_SECOND_ORDER
from falsewitness.core.shapes import Features

NARROW = 4
"""Width of the resulting maps up to which laying maps side by side is faster: three times at 4, hardly at 8."""

LONGEST_ROW = 16
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
            vars(module)["_conv_forward"] = partial(_convolve, module)  # by which nn.Conv2d computes


def convolve_as_usual(network: nn.Module) -> None:
    """Undo :func:`lay_narrow_maps_side_by_side`, to compare."""
    for module in network.modules():
        vars(module).pop("_conv_forward", None)


def _fits(convolution: nn.Conv2d) -> bool:
    form = (convolution.kernel_size, convolution.padding, convolution.dilation)
    is_usual = convolution.groups == 1 and convolution.padding_mode == "zeros"
    return form == ((3, 3), (1, 1), (1, 1)) and convolution.stride in ((1, 1), (2, 2)) and is_usual


def _convolve(convolution: nn.Conv2d, maps: Features, weight: Tensor, bias: Tensor | None) -> Features:
    stride, width = convolution.stride[1], maps.shape[3]
    is_slow = maps.device.type == "cpu" and maps.dtype == torch.bfloat16 and width <= NARROW * stride
    row = min(LONGEST_ROW, len(maps) // FEWEST_FOR_SECOND_ORDER)
    if not is_slow or row < 2 or width % stride:
        return cast(Tensor, nn.Conv2d._conv_forward(convolution, maps, weight, bias))
    rows = _side_by_side(maps, row, gap=stride)
    return _apart(F.conv2d(rows, weight, bias, stride, padding=1), row)[: len(maps)]


def _side_by_side(maps: Features, row: int, gap: int) -> Features:
    """Return ``[rows, channels, height, row * (width + gap)]``: each map followed by columns of zeros."""
    padded = F.pad(maps.permute(0, 2, 3, 1), (0, 0, 0, gap, 0, 0, 0, -len(maps) % row))
    rows: Features = padded.unflatten(0, (-1, row)).transpose(1, 2).flatten(2, 3)
    return rows.permute(0, 3, 1, 2)


def _apart(rows: Features, row: int) -> Features:
    """Return the maps in rows, each without the last of its columns, which lay between the maps."""
    maps: Features = rows.permute(0, 2, 3, 1).unflatten(2, (row, -1))[:, :, :, :-1].transpose(1, 2).flatten(0, 1)
    return maps.permute(0, 3, 1, 2)
