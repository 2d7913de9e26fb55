"""A training's state after an epoch, as tensors and plain numbers: nothing in it can run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from falsewitness.core.errors import InputError
from falsewitness.core.files import replacing
from falsewitness.training._descent import Descent


@dataclass(frozen=True)
class Position:
    """How far a training has come, and what it has cost.

    Attributes:
        epoch: Epochs finished.
        step: Steps finished.
        seconds: Spent in training.
        passes: Images passed forward and backward.
        journal: What the journal said of the lines that it held then; empty at the beginning.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    passes: float = 0.0
    journal: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """The file that a killed training goes on from.

    Attributes:
        path: Of the file.
        identity: Digest of what is trained; a file of another training is not used.
    """

    path: Path
    identity: str

    def save(self, position: Position, model: nn.Module, descent: Descent) -> None:
        """Write the state under another name, then rename it."""
        momenta = {f"momentum.{name}": momentum for name, momentum in descent.momenta().items()}
        weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in (weights | momenta).items()}
        metadata = {"identity": self.identity, "position": json.dumps(asdict(position))}
        metadata["sha256"] = _sha256(metadata, tensors)
        with replacing(self.path) as temporary:
            # safetensors' own writer answers a full disk with an error that is no OSError.
            temporary.write_bytes(save(tensors, metadata))

    def load(self, model: nn.Module, descent: Descent) -> Position:
        """Take up the saved state.

        Returns:
            Where it was saved; the beginning, with nothing changed, where there is no file or it is another training's.

        Raises:
            InputError: If the file is damaged.
        """
        if not self.path.is_file():
            return Position()
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata.pop("sha256") != _sha256(metadata, tensors):
                raise ValueError("not what was written")
            if metadata["identity"] != self.identity:
                return Position()
            position = Position(**json.loads(metadata["position"]))
            model.load_state_dict(_with_prefix(tensors, "model."))
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(
                f"checkpoint '{self.path}' is damaged ({type(error).__name__}); remove it to begin this training anew"
            ) from error
        descent.take_up(_with_prefix(tensors, "momentum."))
        return position


def _sha256(metadata: dict[str, str], tensors: dict[str, torch.Tensor]) -> str:
    """Return the hash of all that a checkpoint holds."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
