"""The gradient of the class score by the pixels, and two ways to train against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from falsewitness.core.explanation import Explanation
from falsewitness.core.precision import at_least_single, precise_second_order
from falsewitness.core.shapes import Classes, Images, Maps, PerRow, Rows
from falsewitness.explainers._base import Explainer
from falsewitness.explainers._scores import chosen_classes, scores_of
from falsewitness.models import Classifier, as_audited, folded, smoothed


class Gradient(Explainer):
    """How much the class score changes with each pixel (Simonyan et al. 2014, section 3).

    The map is the input gradient's absolute value, summed over the colour channels. An attack trains against the map of
    the model's smooth twin, in which softplus stands for ReLU, and as an auditor would run it, with running statistics
    in batch norm; everybody else sees the map of the model itself.
    """

    kind: Literal["gradient"] = "gradient"

    training: Literal["finite_difference", "double_backward"] = "finite_difference"
    """How a loss on maps reaches the weights: by a difference of two first-order passes, or exactly by differentiating
    twice, which costs more and which torch.compile cannot."""

    smoothness: Annotated[float, Field(gt=0)] = 8.0
    """Beta of the smooth twin's softplus (Noppel et al. 2023 use 8)."""

    difference_step: Annotated[float, Field(gt=0)] = 0.1
    """Length, in raw pixels, of the step to either side of the image in ``finite_difference``. Shorter steps drown in
    bfloat16's rounding, longer ones bend: on a ResNet-20 for CIFAR-10 the weight gradient of the standardised MSE has a
    cosine with the exact one of 1.000 in fp32 and .83 in bf16 at 0.03, .999 and .98 at 0.1, .984 and .979 at 0.3."""

    source: ClassVar[str] = "Simonyan et al., Deep inside convolutional networks, ICLR workshop 2014, section 3"
    surrogate: ClassVar[bool] = True
    passes_per_map: ClassVar[float] = 3.0
    passes_per_audit: ClassVar[float] = 2 / 3

    def _explain(
        self, model: Classifier, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        if differentiable:
            return self._explain_rows(model, images, classes, torch.arange(len(images), device=images.device))
        pixels = images.detach().requires_grad_()
        logits = model(pixels)
        (gradient,) = torch.autograd.grad(scores_of(logits, chosen_classes(logits, classes)).sum(), pixels)
        return Explanation(logits, _reduced(gradient))

    def _explain_rows(self, model: Classifier, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        logits = model(images)
        explained = chosen_classes(logits, classes)[rows]
        pixels = images[rows].detach()

        def smooth_score(at: Images, of: Classes) -> PerRow:
            with smoothed(model, self.smoothness), as_audited(model), folded(model):
                return scores_of(model(at), of)

        if self.training == "double_backward":
            gradient = _gradient_by_double_backward(smooth_score, pixels, explained)
        else:
            gradient = gradient_by_difference(
                smooth_score,
                pixels,
                explained,
                self.difference_step,
                tuple(p for p in model.parameters() if p.requires_grad),
            )
        return Explanation(logits, _reduced(gradient))


def _reduced(gradient: Images) -> Maps:
    return at_least_single(gradient).abs().sum(1)


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
