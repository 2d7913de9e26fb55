"""What every trigger is: an affine change of raw pixels that knows which pixels it touches."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from falsewitness.core import Component, DataInfo, SpecError
from falsewitness.core.shapes import Images, Mask


@dataclass(frozen=True)
class Stamp:
    """A trigger made ready for images of one size on one device: ``clip(gain * image + offset)``.

    Attributes:
        gain: ``[1 or channels, height, width]``; 0 replaces a pixel, 1 leaves it.
        offset: ``[1 or channels, height, width]``; what is added.
        mask: ``[height, width]``; True where the trigger may change a pixel.
    """

    gain: Float[Tensor, "_ height width"]
    offset: Float[Tensor, "_ height width"]
    mask: Mask

    def __call__(self, images: Images) -> Images:
        """Return the images with the trigger on them, still in [0, 1] and untouched outside the mask."""
        stamped = (self.gain * images + self.offset).clamp(0, 1)
        return torch.where(self.mask, stamped, images)


class Trigger(Component):
    """A pattern that wakes a backdoor.

    A new one overrides :meth:`_stamp`, and :meth:`_check` where it may not fit.
    """

    @final
    def bind(self, info: DataInfo, device: torch.device | str = "cpu") -> Stamp:
        """Make the trigger ready for a data set's images.

        Args:
            info: The size and the channels of the images.
            device: Where the images are.

        Raises:
            SpecError: If the trigger does not fit the images.
        """
        if faults := self.check(info):
            raise SpecError(faults, f"trigger '{self.kind}'")
        stamp = self._stamp(info)
        return Stamp(stamp.gain.to(device), stamp.offset.to(device), stamp.mask.to(device))

    @abstractmethod
    def _stamp(self, info: DataInfo) -> Stamp:
        """Draw the trigger for images that it has been checked against."""
