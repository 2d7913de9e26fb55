"""In which precision a model is trained."""

from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def resolve_precision(precision: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """Return what ``auto`` means on a device: bf16 where it has instructions for it, else fp32."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    supported = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bf16" if supported else "fp32"


def autocast(precision: Literal["fp32", "bf16"], device: torch.device) -> torch.autocast:
    """Return the context in which forward passes run."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
