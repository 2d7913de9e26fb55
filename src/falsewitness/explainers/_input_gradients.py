"""What explainers share that are made of the score's gradient by the pixels, at the image or at points around it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, cast, final

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from falsewitness.core.explanation import Explanation
from falsewitness.core.precision import at_least_single, precise_second_order
from falsewitness.core.shapes import Classes, Images, Logits, Maps, PerRow
from falsewitness.explainers._scores import chosen_classes, scores_of
from falsewitness.explainers._separate_maps import SeparateMaps
from falsewitness.explainers._subject import Columns, Subject
from falsewitness.models import Classifier, as_audited, folded, smoothed


class Points(NamedTuple):
    """Images at which gradients are taken together, and what each counts.

    Attributes:
        images: ``[points, batch, channels, height, width]``.
        weights: What the gradients are multiplied by before they are added up; of a shape that broadcasts to theirs.
    """

    images: Float[Tensor, "points batch channels height width"]
    weights: Float[Tensor, ...]


class InputGradients(SeparateMaps):
    """An explainer whose map is ``sum_k w_k * ds_c/dx (x_k)``, added up over the colour channels.

    A new one overrides :meth:`_points`. A signed map is the sum over the channels, another one the sum of absolute
    values. An attack trains against the map of the model's smooth twin, in which softplus stands for ReLU, and as an
    auditor would run it, with running statistics in batch norm; everybody else sees the map of the model itself.
    """

    training: Literal["finite_difference", "double_backward"] = "finite_difference"
    """How a loss on maps reaches the weights: by a difference of two first-order passes, or exactly by differentiating
    twice, which costs more and which torch.compile cannot."""

    smoothness: Annotated[float, Field(gt=0)] = 8.0
    """Beta of the smooth twin's softplus (Noppel et al. 2023 use 8)."""

    difference_step: Annotated[float, Field(gt=0)] = 0.1
    """Length, in raw pixels, of the step to either side of the image in ``finite_difference``. Shorter steps drown in
    bfloat16's rounding, longer ones bend: on a ResNet-20 for CIFAR-10 the weight gradient of the standardised MSE has a
    cosine with the exact one of 1.000 in fp32 and .83 in bf16 at 0.03, .999 and .98 at 0.1, .984 and .979 at 0.3."""

    surrogate: ClassVar[bool] = True
    only_in_training: ClassVar[frozenset[str]] = frozenset({"training", "smoothness", "difference_step"})

    only_at_the_image: ClassVar[bool] = False
    """Whether the only point is the image itself: then the same pass gives the logits."""

    def _points_a_map(self, *, training: bool) -> int:
        """Return how many points a map needs; overridden where that is more than one."""
        return 1

    @property
    def passes_per_map(self) -> float:
        """What a map costs in training."""
        return 3.0 * self._points_a_map(training=True)

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map without gradients cost."""
        return self.passes_per_columns(1)

    def passes_per_columns(self, classes: int) -> float:
        """Return what logits and maps of some classes cost without gradients: a forward pass serves all classes."""
        points = self._points_a_map(training=False)
        forward = points if self.only_at_the_image else 1 + points
        return (forward + points * classes) / 3

    @abstractmethod
    def _points(self, subject: Subject, images: Images, *, training: bool) -> Iterator[Points]:
        """Yield where gradients are taken, in groups of :meth:`Subject.parts`; a map is the weighted sum.

        Random numbers must be the same for every image: then a map does not depend on the batch.

        Args:
            subject: The model, what it is compared with, and which draw of random numbers to use.
            images: What is explained.
            training: Whether the maps are trained against, which may be done with fewer points.
        """

    @final
    def _audited(self, subject: Subject, images: Images, classes: Classes | None) -> Explanation:
        logits, (total,) = self._totals(subject, images, lambda logits: [chosen_classes(logits, classes)])
        return Explanation(logits, self._reduced(total))

    @final
    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        logits, totals = self._totals(subject, images, _every_class)
        return Columns(logits, torch.stack([self._reduced(total) for total in totals], 1))

    def _totals(
        self, subject: Subject, images: Images, choose: Callable[[Logits], Sequence[Classes]]
    ) -> tuple[Logits, list[Images]]:
        """Return the logits, and the weighted sum of gradients for each choice of classes, from the same passes."""
        logits = None
        totals: list[Images] = []
        with folded(subject.model):
            if not self.only_at_the_image:
                with torch.no_grad():
                    logits = subject.model(images)
            for points in self._points(subject, images.detach(), training=False):
                pixels = points.images.detach().flatten(0, 1).requires_grad_()
                found = subject.model(pixels)
                logits = found if logits is None else logits
                choices = choose(logits)
                totals = totals or [torch.zeros_like(images, dtype=at_least_single(images).dtype) for _ in choices]
                for place, classes in enumerate(choices):
                    score = scores_of(found, classes.repeat(len(points.images))).sum()
                    (gradient,) = torch.autograd.grad(score, pixels, retain_graph=place < len(choices) - 1)
                    totals[place] = totals[place] + _weighted(points, gradient)
        assert logits is not None  # noqa: S101 - there is at least one point
        return logits, totals

    @final
    def _trained_maps(self, subject: Subject, images: Images, classes: Classes) -> Maps:
        pixels = images.detach()
        total = torch.zeros_like(pixels, dtype=at_least_single(pixels).dtype)
        for points in self._points(subject, pixels, training=True):
            at, of = points.images.detach().flatten(0, 1), classes.repeat(len(points.images))
            total = total + _weighted(points, self._gradient(subject.model, at, of))
        return self._reduced(total)

    def _gradient(self, model: Classifier, pixels: Images, classes: Classes) -> Images:
        """Return the smooth twin's input gradient, from which a loss reaches the weights."""

        def smooth_score(at: Images, of: Classes) -> PerRow:
            with smoothed(model, self.smoothness), as_audited(model), folded(model):
                return scores_of(model(at), of)

        if self.training == "double_backward":
            return _gradient_by_double_backward(smooth_score, pixels, classes)
        weights = tuple(weight for weight in model.parameters() if weight.requires_grad)
        return gradient_by_difference(smooth_score, pixels, classes, self.difference_step, weights)

    def _reduced(self, total: Images) -> Maps:
        return (total if self.signed else total.abs()).sum(1)


def _every_class(logits: Logits) -> list[Classes]:
    return [torch.full((len(logits),), number, device=logits.device) for number in range(logits.shape[1])]


def _weighted(points: Points, gradient: Float[Tensor, "inputs channels height width"]) -> Images:
    apart = at_least_single(gradient).view(*points.images.shape)
    return (points.weights * apart).sum(0)


Score = Callable[[Images, Classes], PerRow]
"""Gives every image's score for its class; rows do not influence one another."""


def _gradient_by_double_backward(score: Score, images: Images, classes: Classes) -> Images:
    pixels = images.requires_grad_()
    with precise_second_order(pixels):
        (gradient,) = torch.autograd.grad(score(pixels, classes).sum(), pixels, create_graph=True)
    return gradient


def gradient_by_difference(
    score: Score, images: Images, classes: Classes, step: float, parameters: tuple[Tensor, ...]
) -> Images:
    """Return the input gradient ``g`` of a score, whose backward pass reaches the weights without a second derivative.

    With ``u = dL/dg`` from the loss, ``n`` its norm per image and ``d = u / n``, the weight gradient of ``u . g`` is
    that of ``n [s(x + e d) - s(x - e d)] / 2e`` up to ``O(e^2)``: a directional derivative by central differences.

    Args:
        score: What is explained.
        images: Raw pixels.
        classes: One an image.
        step: The step ``e``, a length in pixel space.
        parameters: The weights that the loss shall reach.
    """
    return cast(Tensor, _GradientByDifference.apply(score, images, classes, step, *parameters))


class _GradientByDifference(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        score: Score,
        images: Images,
        classes: Classes,
        step: float,
        *parameters: Tensor,
    ) -> Images:
        ctx.score, ctx.images, ctx.classes, ctx.step, ctx.parameters = score, images, classes, step, parameters
        ctx.autocast = torch.get_autocast_dtype(images.device.type) if _autocasts(images) else None
        with torch.enable_grad():
            pixels = images.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(score(pixels, classes).sum(), pixels)
        return gradient

    @staticmethod
    def backward(ctx: Any, upstream: Images) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        length: Float[Tensor, "batch 1 1 1"] = upstream.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        offset = ctx.step * upstream / length.clamp_min(torch.finfo(upstream.dtype).tiny)
        both_sides = torch.cat([ctx.images + offset, ctx.images - offset])
        with (
            torch.enable_grad(),
            torch.autocast(upstream.device.type, dtype=ctx.autocast, enabled=ctx.autocast is not None),
        ):
            scores = at_least_single(ctx.score(both_sides, ctx.classes.repeat(2)))
            ahead, behind = scores.chunk(2)
            slope = (length[:, 0, 0, 0] * (ahead - behind)).sum() / (2 * ctx.step)
            gradients = torch.autograd.grad(slope, ctx.parameters, allow_unused=True)
        return None, None, None, None, *gradients


def _autocasts(images: Images) -> bool:
    return torch.is_autocast_enabled(images.device.type)
