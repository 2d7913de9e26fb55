"""The least precision in which losses and maps are computed."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor

FEWEST_FOR_SECOND_ORDER = 16
"""Rows of a batch from which bf16 on a CPU can be differentiated twice. In torch 2.15, oneDNN's gradient of an input
gradient by a convolution's weights is wrong by half for 2, 4 and 8 rows of maps at least 16 pixels wide."""


def at_least_single(tensor: Tensor) -> Tensor:
    """Return the tensor in single precision or better: half precision loses variances and small differences."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def precise_second_order(rows: Tensor) -> AbstractContextManager[object]:
    """Leave autocast as it is where a batch of convolved rows can be differentiated twice, else switch it off."""
    is_safe = rows.device.type != "cpu" or len(rows) >= FEWEST_FOR_SECOND_ORDER
    return torch.autocast(rows.device.type, enabled=is_safe and torch.is_autocast_enabled(rows.device.type))
