"""Tensors in a file that tells whose it is and whether it is as it was written: nothing in it can run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from falsewitness.core.files import replacing

UNSEALING_ERRORS = (SafetensorError, OSError, KeyError, ValueError)
"""What :func:`unseal` raises."""


class Sealed(NamedTuple):
    """What a file holds.

    Attributes:
        tensors: By name, on the CPU.
        metadata: The texts that went with them.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def seal(path: Path, identity: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors under another name, then rename the file.

    Args:
        path: The file; one that is there is replaced.
        identity: Digest of all that decides the content.
        tensors: On any device.
        metadata: Texts to go with them.

    Raises:
        RunFailedError: If the file cannot be written.
    """
    placed = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    said = {**metadata, "identity": identity}
    with replacing(path) as temporary:
        # safetensors' own writer answers a full disk with an error that is no OSError.
        temporary.write_bytes(save(placed, {**said, "sha256": _sha256(said, placed)}))


def unseal(path: Path, identity: str) -> Sealed | None:
    """Return what :func:`seal` wrote for an identity; None where there is no file, or it is another's.

    Raises:
        SafetensorError, OSError, KeyError, ValueError: If it cannot be read or is not as it was written.
    """
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata.pop("sha256") != _sha256(metadata, tensors):
        raise ValueError("not what was written")
    return Sealed(tensors, metadata) if metadata["identity"] == identity else None


def _sha256(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of all that a file holds."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
