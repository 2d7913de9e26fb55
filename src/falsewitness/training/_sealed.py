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

from falsewitness.core.files import open_file, replacing

UNSEALING_ERRORS = (SafetensorError, OSError, KeyError, ValueError, RecursionError)
"""What :func:`unseal` raises: an OSError of a file that cannot be read, another of a damaged one."""

_KEY = "sealed"
"""The one entry of the file's metadata: of several, safetensors would write the order at random."""


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
    placed = _placed(tensors)
    said = {**metadata, "identity": identity}
    text = json.dumps({**said, "sha256": _sha256(said, placed)}, sort_keys=True)
    with replacing(path) as temporary:
        # safetensors' own writer answers a full disk with an error that is no OSError.
        temporary.write_bytes(save(placed, {_KEY: text}))


def unseal(path: Path, identity: str) -> Sealed | None:
    """Return what :func:`seal` wrote for an identity; None where there is no file, or it is another's.

    Raises:
        OSError: If it cannot be read.
        SafetensorError, KeyError, ValueError, RecursionError: If it is not as it was written.
    """
    if not path.is_file():
        return None
    with open_file(path):  # safetensors says of a file that may not be read that there is none
        pass
    with safe_open(path, "pt") as file:
        metadata = json.loads((file.metadata() or {})[_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not isinstance(metadata, dict):
        raise ValueError("not what was written")
    if metadata.pop("sha256") != _sha256(metadata, tensors):
        raise ValueError("not what was written")
    return Sealed(tensors, metadata) if metadata["identity"] == identity else None


def sha256_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of tensors on any device, of their names, types and shapes."""
    return _sha256({}, _placed(tensors))


def _placed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _sha256(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Return the hash of all that a file holds."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
