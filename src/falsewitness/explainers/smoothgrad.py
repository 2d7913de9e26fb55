"""The input gradient, averaged over noisy copies of the image."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from falsewitness.core.shapes import Images
from falsewitness.explainers._draws import Seed, generator
from falsewitness.explainers._input_gradients import InputGradients, Points
from falsewitness.explainers._subject import Subject


class SmoothGrad(InputGradients):
    """The mean of input gradients at noisy copies of the image (Smilkov et al. 2017, section 3.1).

    The map is the mean gradient's absolute value, summed over the colour channels. All images get the same noise, so
    that a map does not depend on the batch. See `gradient` for how an attack trains against it.
    """

    kind: Literal["smoothgrad"] = "smoothgrad"

    samples: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Noisy copies."""

    noise: Annotated[float, Field(gt=0, le=1)] = 0.15
    """Deviation of the Gaussian noise, as a share of the pixels' range of 1. Copies may leave the range."""

    training_samples: Annotated[int, Field(ge=1, le=1000)] = 4
    """Noisy copies in a training step, where each step draws anew."""

    seed: Seed = 0
    """Seed of the noise."""

    only_in_training: ClassVar[frozenset[str]] = InputGradients.only_in_training | {"training_samples"}

    source: ClassVar[str] = "Smilkov et al., SmoothGrad, arXiv 1706.03825, 2017, section 3.1"
    stochastic: ClassVar[bool] = True

    def _points_a_map(self, *, training: bool) -> int:
        return self.training_samples if training else self.samples

    def _points(self, subject: Subject, images: Images, *, training: bool) -> Iterator[Points]:
        count, random = self._points_a_map(training=training), generator(self.seed, subject.draw)
        for part in subject.parts(count, len(images)):
            # One by one: on a CPU randn gives other numbers for other counts at once.
            noise = torch.stack([torch.randn(1, *images.shape[1:], generator=random) for _ in part])
            yield Points(images + self.noise * noise.to(images), torch.full((), 1 / count, device=images.device))
