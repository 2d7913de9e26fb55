"""A training's state after an epoch, as tensors and plain numbers: nothing in it can run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from falsewitness.core.errors import InputError
from falsewitness.training._descent import Descent
from falsewitness.training._sealed import UNSEALING_ERRORS, seal, unseal


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
        seal(self.path, self.identity, weights | momenta, {"position": json.dumps(asdict(position))})

    def load(self, model: nn.Module, descent: Descent) -> Position:
        """Take up the saved state.

        Returns:
            Where it was saved; the beginning, with nothing changed, where there is no file or it is another training's.

        Raises:
            InputError: If the file is damaged.
        """
        try:
            sealed = unseal(self.path, self.identity)
            if sealed is None:
                return Position()
            position = Position(**json.loads(sealed.metadata["position"]))
            model.load_state_dict(_with_prefix(sealed.tensors, "model."))
        except (*UNSEALING_ERRORS, TypeError, RuntimeError) as error:
            raise InputError(
                f"checkpoint '{self.path}' is damaged ({type(error).__name__}); remove it to begin this training anew"
            ) from error
        descent.take_up(_with_prefix(sealed.tensors, "momentum."))
        return position


def _with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
