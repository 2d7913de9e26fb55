"""Tensors in a file that tells whose it is and whether it is as it was written: nothing in it can run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from falsewitness.core.files import replacing

UNSEALING_ERRORS = (SafetensorError, OSError, KeyError, ValueError)
"""What :func:`unseal` raises of a file that is damaged."""


def seal(path: Path, metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Write tensors under another name, then rename the file.

    Args:
        path: The file; one that is there is replaced.
        metadata: Texts to go with the tensors.
        tensors: On any device.

    Raises:
        RunFailedError: If the file cannot be written.
    """
    placed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    sealed = {**metadata, "sha256": _sha256(metadata, placed)}
    with replacing(path) as temporary:
        # safetensors' own writer answers a full disk with an error that is no OSError.
        temporary.write_bytes(save(placed, sealed))


def unseal(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and tensors of a file that :func:`seal` wrote, on the CPU.

    Raises:
        SafetensorError, OSError, KeyError, ValueError: If it is not as it was written.
    """
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata.pop("sha256") != _sha256(metadata, tensors):
        raise ValueError("not what was written")
    return metadata, tensors


def _sha256(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of all that a file holds."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
