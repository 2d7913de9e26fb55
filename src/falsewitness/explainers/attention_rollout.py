"""Attention rollout: how much of each patch arrives, block after block, at what the head reads."""

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from falsewitness.core import InputError
from falsewitness.core.explanation import Explanation
from falsewitness.core.precision import at_least_single
from falsewitness.core.shapes import Classes, Images, Rows
from falsewitness.explainers._base import Explainer
from falsewitness.explainers._subject import Access, Columns, Subject, for_every_class
from falsewitness.models import Classifier, transformer_in

Heads = Literal["mean", "max", "min"]
_FUSED: dict[Heads, Callable[..., Tensor]] = {"mean": torch.mean, "max": torch.amax, "min": torch.amin}


class AttentionRollout(Explainer):
    """Attention followed through all blocks of a vision transformer (Abnar and Zuidema 2020, section 3).

    In each block a token is taken to be half itself, by the residual connection, and half what it attends to. The map
    is the share of each patch in the class token after the last block or, where patches are averaged instead, in their
    mean; shares of class and register tokens are left out. It explains no class: the map is the same for every one.
    """

    kind: Literal["attention_rollout"] = "attention_rollout"

    heads: Heads = "mean"
    """How the heads of a block become one: ``mean`` as in the paper, or the largest or smallest attention of any."""

    source: ClassVar[str] = "Abnar and Zuidema, Quantifying attention flow in transformers, ACL 2020, equation 1"
    surrogate: ClassVar[bool] = True
    access: ClassVar[Access] = "activations"
    explains: ClassVar[str] = "vision transformers of timm with a class token or average pooling"

    def _check_model(self, model: Classifier) -> None:
        try:
            transformer_in(model)
        except InputError as error:
            raise InputError(f"explainer '{self.kind}': {error}") from None

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        transformer = transformer_in(subject.model)
        with torch.set_grad_enabled(differentiable):
            logits, attention = transformer.answer(images)
            with torch.autocast(images.device.type, enabled=False):
                blocks = [mixing(at_least_single(one), self.heads) for one in attention]
                shares = rolled_out(blocks, transformer.read)
            maps = transformer.layout.to_map(shares[:, :, None], (images.shape[2], images.shape[3]))
        assert maps is not None  # noqa: S101 - there is a share for every token
        return Explanation(logits, maps[:, 0])

    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        return for_every_class(self._explain(subject, images, None, differentiable=False))

    def _explain_row_columns(self, subject: Subject, images: Images, rows: Rows) -> Columns:
        return for_every_class(self._explain_rows(subject, images, None, rows))


def mixing(attention: Float[Tensor, "batch heads tokens tokens"], heads: Heads) -> Float[Tensor, "batch tokens tokens"]:
    """Return what share each token has of each after a block with a residual connection; rows add up to 1."""
    fused = _FUSED[heads](attention, 1)
    mixed: Tensor = fused + torch.eye(fused.shape[1], dtype=fused.dtype, device=fused.device)
    return mixed / mixed.sum(2, keepdim=True)


def rolled_out(blocks: list[Float[Tensor, "batch tokens tokens"]], read: slice) -> Float[Tensor, "batch tokens"]:
    """Return the share of each of the first block's inputs in the average of the tokens that are read.

    Only rows that are read are followed, from the last block to the first: a product of a row and a matrix for each
    block, where the paper's equation multiplies matrices.
    """
    shares: Tensor = blocks[-1][:, read].mean(1)
    for block in reversed(blocks[:-1]):
        shares = (shares[:, None] @ block)[:, 0]
    return shares
