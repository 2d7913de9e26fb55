"""Expected gradients: Shapley values of pixels against a background set, by sampling."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from falsewitness.core.shapes import Images
from falsewitness.explainers._draws import Seed, generator
from falsewitness.explainers._input_gradients import InputGradients, Points
from falsewitness.explainers._subject import Subject


class GradientShap(InputGradients):
    """What each pixel adds to the class score, against training images (Erion et al. 2021, equation 3).

    The map is the mean of ``(x - b) * grad s(b + a (x - b))`` over images ``b`` of the background and ``a`` uniform in
    [0, 1], summed over the colour channels: integrated gradients (Aumann-Shapley values) with the background as
    baseline. In expectation it adds up to ``s(x) - E s(b)``. All images get the same draws, so that a map does not
    depend on the batch. See `gradient` for how an attack trains against it.
    """

    kind: Literal["gradient_shap"] = "gradient_shap"

    samples: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Draws of a background image and of a place on the way from it."""

    background: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Training images to compare with."""

    training_samples: Annotated[int, Field(ge=1, le=1000)] = 2
    """Draws in a training step, where each step draws anew."""

    seed: Seed = 0
    """Seed of the draws."""

    only_in_training: ClassVar[frozenset[str]] = InputGradients.only_in_training | {"training_samples"}

    source: ClassVar[str] = (
        "Erion et al., Improving performance of deep learning models with axiomatic attribution priors and expected "
        "gradients, Nature Machine Intelligence 2021, equation 3; Lundberg and Lee, NeurIPS 2017"
    )
    signed: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True
    by_class: ClassVar[bool] = True
    adds_up: ClassVar[bool] = True

    def _points_a_map(self, *, training: bool) -> int:
        return self.training_samples if training else self.samples

    def _points(self, subject: Subject, images: Images, *, training: bool) -> Iterator[Points]:
        background = subject.background
        assert background is not None  # noqa: S101 - bind() has seen to it
        count, random = self._points_a_map(training=training), generator(self.seed, subject.draw)
        # Every background image comes as often as any other, and places on the way are stratified: less variance.
        order = torch.cat(
            [torch.randperm(len(background), generator=random) for _ in range(-(-count // len(background)))]
        )
        shares = (torch.randperm(count, generator=random) + torch.rand(count, generator=random)) / count
        for part in subject.parts(count, len(images)):
            at = slice(part.start, part.stop)
            start = background[order[:count][at].to(background.device)][:, None]
            share = shares[at].view(-1, 1, 1, 1, 1).to(images)
            difference = images - start
            yield Points(start + share * difference, difference / count)
