"""Reference maps: what the clean model says of training images, made once for every attack that compares with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from falsewitness.core.errors import InputError
from falsewitness.training._progress import Progress
from falsewitness.training._sealed import UNSEALING_ERRORS, seal, unseal


@dataclass(frozen=True)
class ReferenceMaps:
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
    def nbytes(self) -> int:
        """How much they take."""
        return self.maps.nbytes + self.classes.nbytes

    def to(self, device: torch.device) -> ReferenceMaps:
        """Return them on a device."""
        return ReferenceMaps(self.maps.to(device), self.classes.to(device), self.seconds)

    def save(self, path: Path, identity: str) -> None:
        """Write them to a file, with a hash of its content.

        Args:
            path: The file; one that is there is replaced.
            identity: Digest of all that decides them.

        Raises:
            RunFailedError: If it cannot be written.
        """
        seal(path, identity, {"maps": self.maps, "classes": self.classes}, {"seconds": str(self.seconds)})


def load_reference_maps(path: Path, identity: str) -> ReferenceMaps | None:
    """Read what :meth:`ReferenceMaps.save` wrote; None where there is no file, or it is for another identity.

    Raises:
        InputError: If the file is damaged or cannot be read.
    """
    try:
        sealed = unseal(path, identity)
        if sealed is None:
            return None
        return ReferenceMaps(sealed.tensors["maps"], sealed.tensors["classes"], float(sealed.metadata["seconds"]))
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror})") from error
    except UNSEALING_ERRORS as error:
        raise InputError(f"'{path}' is damaged: it is not what was written") from error


MakeReferences = Callable[[Progress], ReferenceMaps]
"""Makes reference maps, and tells how far that is."""

KeepReferences = Callable[[MakeReferences, int], ReferenceMaps]
"""Given how reference maps are made and how many bytes they will take, returns them: made now or earlier."""


def make_anew(make: MakeReferences, nbytes: int = 0) -> ReferenceMaps:
    """Make reference maps, keep none and tell nobody."""
    return make(lambda done, total: None)
