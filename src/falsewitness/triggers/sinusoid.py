"""A faint wave over the whole image."""

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field

from falsewitness.core import DataInfo
from falsewitness.triggers._base import Stamp, Trigger


class Sinusoid(Trigger):
    """The horizontal sinusoid of Barni et al. (2019).

    It adds ``amplitude * sin(2 pi frequency j / columns)`` to column j, counted from 1, and clips to [0, 1].
    """

    kind: Literal["sinusoid"] = "sinusoid"

    amplitude: float = Field(default=20 / 255, gt=0, le=1)
    """Height of the wave, in units of the pixels' range (the paper's delta over 255)."""

    frequency: float = Field(default=6.0, gt=0)
    """Waves across the image."""

    source: ClassVar[str] = "Barni et al., A new backdoor attack in CNNs (SIG), ICIP 2019"

    def _stamp(self, info: DataInfo) -> Stamp:
        columns = torch.arange(1, info.width + 1, dtype=torch.float64)
        wave = self.amplitude * torch.sin(2 * math.pi * self.frequency * columns / info.width)
        return Stamp(
            gain=torch.ones(1, info.height, info.width),
            offset=wave.float().repeat(1, info.height, 1),
            mask=torch.ones(info.height, info.width, dtype=torch.bool),
        )
