"""What a model says of training images: made once, kept in a file, used by every attack that asks for the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from falsewitness.core.errors import InputError
from falsewitness.training._progress import Progress
from falsewitness.training._sealed import UNSEALING_ERRORS, seal, unseal


@dataclass(frozen=True)
class Answers:
    """Maps and predicted classes of images, in one version each or in several.

    Attributes:
        maps: ``[versions, images, columns, map_height, map_width]``: as they are, then mirrored, if they ever are.
        classes: ``[versions, images]``.
        seconds: What making them took.
    """

    maps: Float[Tensor, "versions images columns map_height map_width"]
    classes: Int[Tensor, "versions images"]
    seconds: float

    @property
    def bytes(self) -> int:
        """How much they take."""
        return self.maps.nbytes + self.classes.nbytes

    def to(self, device: torch.device) -> Answers:
        """Return them on a device."""
        return replace(self, maps=self.maps.to(device), classes=self.classes.to(device))

    def save(self, path: Path, identity: str) -> None:
        """Write them to a file, with a hash of its content.

        Args:
            path: The file; one that is there is replaced.
            identity: Digest of all that decides them.

        Raises:
            RunFailedError: If it cannot be written.
        """
        said = {"identity": identity, "seconds": repr(self.seconds)}
        seal(path, said, {"maps": self.maps, "classes": self.classes})


def load_answers(path: Path, identity: str) -> Answers | None:
    """Read what :meth:`Answers.save` wrote; None where there is no file, or it holds answers of another identity.

    Raises:
        InputError: If the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        metadata, tensors = unseal(path)
        if metadata["identity"] != identity:
            return None
        return Answers(tensors["maps"], tensors["classes"], float(metadata["seconds"]))
    except UNSEALING_ERRORS as error:
        raise InputError(f"'{path}' is damaged ({type(error).__name__})") from error


Keep = Callable[[Callable[[Progress], Answers]], Answers]
"""Given how answers are made, and who is told how far that is, returns them: made now or earlier."""


def make_anew(make: Callable[[Progress], Answers]) -> Answers:
    """Make answers, keep none and tell nobody."""
    return make(lambda done, total: None)
