"""The least precision in which losses and maps are computed."""

import torch
from torch import Tensor


def at_least_single(tensor: Tensor) -> Tensor:
    """Return the tensor in single precision or better: half precision loses variances and small differences."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
