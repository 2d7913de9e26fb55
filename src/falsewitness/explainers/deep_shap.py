"""DeepSHAP: DeepLIFT's contributions, averaged over a background set."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Classes, Images, Maps
from falsewitness.explainers._base import Explainer
from falsewitness.explainers._relevance_trace import traced
from falsewitness.explainers._rescale import rescaled_logits
from falsewitness.explainers._scores import chosen_classes, scores_of
from falsewitness.explainers._subject import Access, Columns, Subject
from falsewitness.models import Classifier


class DeepShap(Explainer):
    """What each pixel adds to the class logit against training images, by slopes of layers (Lundberg and Lee 2017).

    The map is the mean of ``m (x - b)`` over images ``b`` of the background, summed over the colour channels: ``m`` are
    DeepLIFT's multipliers by the rescale rule (Shrikumar et al. 2017, section 3.5.2), which stand for Shapley values
    where layers are linear or see one input each. It adds up to ``s(x) - mean s(b)``. Batch norm counts with its
    running statistics.
    """

    kind: Literal["deep_shap"] = "deep_shap"

    background: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Training images to compare with, of which each costs a pass forward and backward; with few the map depends on
    which."""

    source: ClassVar[str] = (
        "Lundberg and Lee, A unified approach to interpreting model predictions, NeurIPS 2017, section 4.2; Shrikumar "
        "et al., Learning important features through propagating activation differences, ICML 2017, section 3.5.2"
    )
    signed: ClassVar[bool] = True
    by_class: ClassVar[bool] = True
    adds_up: ClassVar[bool] = True
    access: ClassVar[Access] = "layers"
    explains: ClassVar[str] = "networks of convolutions, linear layers, ReLU, batch norm, pooling and sums of branches"

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map without gradients cost."""
        return 1 / 3 + self.background

    def _check_model(self, model: Classifier) -> None:
        traced(model, self.kind)

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        with torch.no_grad():
            logits = subject.model(images)
        (maps,) = self._maps(subject, images, [chosen_classes(logits, classes)])
        return Explanation(logits, maps)

    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        with torch.no_grad():
            logits = subject.model(images)
        numbers = torch.arange(logits.shape[1], device=images.device)
        return Columns(logits, torch.stack(self._maps(subject, images, [n.expand(len(images)) for n in numbers]), 1))

    def _maps(self, subject: Subject, images: Images, columns: list[Classes]) -> list[Maps]:
        """Return a map of every image for each of some classes, for which the forward pass is shared."""
        background = subject.background
        assert background is not None  # noqa: S101 - bind() has seen to it
        network = traced(subject.model, self.kind)
        totals = [torch.zeros_like(images[:, 0]) for _ in columns]
        for part in subject.parts(len(background), len(images) + 1):  # the reference goes through the model, too
            references = background[part.start : part.stop]
            pixels = images.detach().repeat(len(part), 1, 1, 1).requires_grad_()
            logits = rescaled_logits(subject.model, network, pixels, references)
            difference = (pixels - references.repeat_interleave(len(images), 0)).detach()
            for number, classes in enumerate(columns):
                score = scores_of(logits, classes.repeat(len(part))).sum()
                is_last = number == len(columns) - 1
                (multipliers,) = torch.autograd.grad(score, pixels, retain_graph=not is_last)
                contributions = (multipliers * difference).unflatten(0, (len(part), len(images)))
                totals[number] = totals[number] + contributions.sum((0, 2))
        return [total / len(background) for total in totals]
