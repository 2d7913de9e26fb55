"""What explainers share that only ask a model for its answers, to images of which parts are hidden."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from falsewitness.core.explanation import Explanation
from falsewitness.core.precision import at_least_single
from falsewitness.core.shapes import Classes, Images, Logits, Rows
from falsewitness.explainers._base import Explainer
from falsewitness.explainers._scores import chosen_classes
from falsewitness.explainers._subject import Access, Columns, Subject
from falsewitness.models import folded

Scores = Float[Tensor, "batch wanted"]
"""Each image's logits of its classes of interest."""

Answers = Float[Tensor, "queries batch wanted"]
"""The same for several altered copies of each image."""

Altered = Float[Tensor, "queries batch channels height width"]

Alter = Callable[[slice], Altered]
"""Makes the altered copies of given numbers, of all images."""

ScoreMaps = Float[Tensor, "batch wanted height width"]
"""A map for each image and class of interest, at the image's resolution."""


@dataclass(frozen=True)
class Questions:
    """Images, and whoever answers questions about altered copies of them.

    Attributes:
        subject: The model, what images are compared with, and how many may be asked about at once.
        images: What is explained.
        wanted: Each image's classes of interest: one, or all. One pass answers for all of them.
        scores: The logits of those classes for the images as they are.
    """

    subject: Subject
    images: Images
    wanted: Int[Tensor, "batch wanted"]
    scores: Scores

    def answers(self, count: int, altered: Alter) -> Iterator[tuple[slice, Answers]]:
        """Ask about altered copies, as many at once as memory allows.

        Args:
            count: Copies of each image.
            altered: Makes those of given numbers, the same for an image whatever the others are.

        Yields:
            The copies' numbers and the answers, in order.
        """
        for part in self.subject.parts(count, len(self.images)):
            numbers = slice(part.start, part.stop)
            logits = at_least_single(self.subject.model(altered(numbers).flatten(0, 1)))
            apart = logits.unflatten(0, (len(part), len(self.images)))
            yield numbers, apart.gather(2, self.wanted.expand(len(part), -1, -1))

    def all_answers(self, count: int, altered: Alter) -> Answers:
        """Ask likewise and return all answers."""
        return torch.cat([answers for _, answers in self.answers(count, altered)])

    def about(self, rows: Rows) -> "Questions":
        """Return the questions about some of the images."""
        return replace(self, images=self.images[rows], wanted=self.wanted[rows], scores=self.scores[rows])


class AnswersOnly(Explainer):
    """An explainer that needs no more of a model than its logits: it can be a service that hides everything else.

    A new one overrides :meth:`_maps`. Maps are as large as the image. No attack can train against it by gradients.
    """

    access: ClassVar[Access] = "answers"

    @abstractmethod
    def _maps(self, questions: Questions) -> ScoreMaps:
        """Return a map for each image and class of interest; called without gradients.

        Random numbers must be the same for every image: then a map does not depend on the batch.
        """

    @final
    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        with torch.no_grad(), folded(subject.model):
            logits = subject.model(images)
            wanted = chosen_classes(logits, classes)[:, None]
            return Explanation(logits, self._maps_of(subject, images, logits, wanted)[:, 0])

    @final
    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        with torch.no_grad(), folded(subject.model):
            logits = subject.model(images)
            wanted = torch.arange(logits.shape[1], device=logits.device).expand(len(images), -1)
            return Columns(logits, self._maps_of(subject, images, logits, wanted))

    def _maps_of(
        self, subject: Subject, images: Images, logits: Logits, wanted: Int[Tensor, "batch wanted"]
    ) -> ScoreMaps:
        scores = at_least_single(logits).gather(1, wanted)
        if len(images) == 0:
            return scores.new_zeros(0, wanted.shape[1], *images.shape[2:])
        return self._maps(Questions(subject, images, wanted, scores))
