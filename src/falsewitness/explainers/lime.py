"""LIME: a weighted linear model of the score by which segments of the image are seen."""

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from falsewitness.core.shapes import Images
from falsewitness.explainers._draws import Seed, generator
from falsewitness.explainers._queries import Altered, Answers, Questions
from falsewitness.explainers._segments import Present, SegmentExplainer, Segments, Values, partly_hidden

Locality = Float[Tensor, " queries"]


class Lime(SegmentExplainer):
    """The slopes of a linear model of the class score around the image (Ribeiro et al. 2016, equation 1).

    ``z`` says which segments of the image are seen. The slopes ``w`` and an intercept ``c`` minimise
    ``sum_z exp(-D(z)^2 / width^2) (s(x seen by z) - z w - c)^2 + ridge |w|^2`` over copies of the image in which each
    segment is seen or not with even odds, the whole image among them. ``D`` is the cosine distance from the whole image
    (section 3.4), 1 where nothing is seen. All slopes are kept: segments are not selected beforehand. All images of as
    many segments get the same draws, so that a map does not depend on the batch.
    """

    kind: Literal["lime"] = "lime"

    samples: Annotated[int, Field(ge=2, le=1_000_000)] = 1000
    """Copies of the image, itself included."""

    width: Annotated[float, Field(gt=0)] = 0.25
    """Width of the locality kernel. The authors' code takes the kernel's root: its width w is sqrt(2) w here."""

    ridge: Annotated[float, Field(gt=0)] = 1.0
    """Penalty on squared slopes."""

    fill: Annotated[float, Field(ge=0, le=1)] | Literal["mean"] = "mean"
    """Pixel value of a segment that is not seen, or `mean` for its own mean colour."""

    seed: Seed = 0
    """Seed of the draws."""

    source: ClassVar[str] = (
        'Ribeiro et al., "Why should I trust you?" Explaining the predictions of any classifier, KDD 2016, equation 1'
    )
    signed: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map cost."""
        return (1 + self.samples) / 3

    def _values(self, questions: Questions, segments: Segments, players: int) -> Values:
        images = questions.images
        random = generator(self.seed, questions.subject.draw)
        present = torch.rand(self.samples, players, generator=random) < 0.5
        present[0] = True
        present = present.to(images.device)
        absent = mean_colours(images, segments) if self.fill == "mean" else torch.full_like(images, self.fill)

        def copies(numbers: slice) -> Altered:
            return partly_hidden(images, segments, present[numbers], absent)

        answers = questions.all_answers(self.samples, copies)
        return slopes(present, locality(present, self.width), answers, self.ridge)


def mean_colours(images: Images, segments: Segments) -> Images:
    """Return the images with each segment in its mean colour."""
    member = F.one_hot(segments.flatten(1)).to(images)
    with torch.autocast(images.device.type, enabled=False):
        means = images.flatten(2) @ member / member.sum(1, keepdim=True)
        return (means @ member.mT).view_as(images)


def locality(present: Present, width: float) -> Locality:
    """Return how much each copy counts, in double precision: less, the farther it is from the whole image."""
    similarity = present.double().mean(1).sqrt()  # the cosine between a row of zeros and ones, and all ones
    return torch.exp(-((1 - similarity) ** 2) / width**2)


def slopes(present: Present, weights: Locality, answers: Answers, ridge: float) -> Values:
    """Return the slopes of weighted ridge regression with an intercept, in closed form and double precision."""
    seen, scores, column = present.double(), answers.double().flatten(1), weights[:, None]
    # Centring by weighted means stands for the intercept, which is not penalised.
    seen = seen - (column * seen).sum(0) / weights.sum()
    scores = scores - (column * scores).sum(0) / weights.sum()
    penalty = ridge * torch.eye(seen.shape[1], dtype=seen.dtype, device=seen.device)
    found = torch.linalg.solve(seen.T @ (column * seen) + penalty, seen.T @ (column * scores))
    values: Values = found.T.unflatten(0, answers.shape[1:])
    return values
