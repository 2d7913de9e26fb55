"""Occlusion: what the score loses when a window of the image is covered."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool
from pydantic import Field, model_validator
from torch import Tensor

from falsewitness.core import DataInfo, Fault, InputError
from falsewitness.explainers._queries import Altered, AnswersOnly, Questions, ScoreMaps

_USUAL_SIDE = 32
"""Pixels of the images for which the cost is told."""


class Occlusion(AnswersOnly):
    """What the class score loses when a sliding window is covered (Zeiler and Fergus 2014, section 4.2).

    A pixel's value is the mean of ``s(x) - s(x with window w covered)`` over the windows ``w`` that cover it. Windows
    start at every multiple of the stride; the last in each direction ends with the image, so that every pixel is
    covered. Negative values say that the class gains where the pixel is hidden.
    """

    kind: Literal["occlusion"] = "occlusion"

    window: Annotated[int, Field(ge=1)] = 8
    """Side of the square that is covered, in pixels."""

    stride: Annotated[int, Field(ge=1)] = 4
    """Pixels from one window to the next, the window's side at most."""

    fill: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Value that covers, in all channels: grey as in the paper."""

    source: ClassVar[str] = (
        "Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014, section 4.2"
    )
    signed: ClassVar[bool] = True

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map cost for images of 32x32 pixels."""
        return (1 + len(_starts(_USUAL_SIDE, self.window, self.stride)) ** 2) / 3

    @model_validator(mode="after")
    def _leaves_no_gaps(self) -> "Occlusion":
        if self.stride > self.window:
            raise ValueError(f"expected a stride of the window's side ({self.window}) at most, got {self.stride}")
        return self

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self.window > min(info.height, info.width):
            yield Fault("window", self._too_large_for(info.height, info.width))

    def _too_large_for(self, height: int, width: int) -> str:
        return f"expected a window that fits images of {height}x{width} pixels, got {self.window}"

    def _maps(self, questions: Questions) -> ScoreMaps:
        images = questions.images
        height, width = images.shape[2:]
        if self.window > min(height, width):
            raise InputError(f"explainer '{self.kind}': {self._too_large_for(height, width)}; choose a smaller window")
        down, across = (_windows(side, self.window, self.stride).to(images.device) for side in (height, width))

        def occluded(numbers: slice) -> Altered:
            at = torch.arange(numbers.start, numbers.stop, device=images.device)
            covered = down[at // len(across), :, None] & across[at % len(across), None, :]
            return torch.where(covered[:, None, None], self.fill, images)

        answers = questions.all_answers(len(down) * len(across), occluded)
        losses = (questions.scores - answers).unflatten(0, (len(down), len(across)))
        rows, columns = down.to(losses.dtype), across.to(losses.dtype)
        with torch.autocast(images.device.type, enabled=False):
            total = torch.einsum("rcbk,rh,cw->bkhw", losses, rows, columns)
        return total / (rows.sum(0)[:, None] * columns.sum(0))


def _starts(side: int, window: int, stride: int) -> list[int]:
    last = max(0, side - window)
    return [*range(0, last, stride), last]


def _windows(side: int, window: int, stride: int) -> Bool[Tensor, "windows side"]:
    """Return which pixels along a side each window covers."""
    start = torch.tensor(_starts(side, window, stride))[:, None]
    pixel = torch.arange(side)
    return (pixel >= start) & (pixel < start + window)
