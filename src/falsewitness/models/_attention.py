"""The attention in a vision transformer, and the tokens that its head reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from falsewitness.core import InputError
from falsewitness.core.shapes import Images, Logits
from falsewitness.models._feature_maps import Tokens

if TYPE_CHECKING:
    from falsewitness.models._classifier import Classifier

Attention = Float[Tensor, "batch heads tokens tokens"]
"""What share each token (row) takes of each (column): rows are not negative and add up to 1."""


@dataclass(frozen=True)
class Transformer:
    """A classifier whose attention can be read.

    Attributes:
        model: The classifier.
        layout: How its tokens lie over the image.
        dropouts: What sees the attention of each block, first block first, and nothing else.
        read: The tokens whose average the head reads: a class token, two of them or all patches.
    """

    model: Classifier
    layout: Tokens
    dropouts: tuple[nn.Module, ...]
    read: slice

    def answer(self, images: Images) -> tuple[Logits, list[Attention]]:
        """Run once and return the logits with the attention of every block before dropout, in one graph."""
        seen: list[Attention] = []

        def keep(_module: nn.Module, inputs: tuple[Tensor]) -> None:
            seen.append(inputs[0])

        handles = [dropout.register_forward_pre_hook(keep) for dropout in self.dropouts]
        try:
            logits: Logits = self.model(images)
        finally:
            for handle in handles:
                handle.remove()
        return logits, seen


def transformer_in(model: Classifier) -> Transformer:
    """Return the classifier as one whose attention can be read.

    Args:
        model: A vision transformer of timm.

    Raises:
        InputError: If it is none, mixes tokens by anything but attention, or if its head reads neither a class token
            nor the average of the patches.
    """
    network, layout = cast(Any, model.network), model.layout
    if not isinstance(layout, Tokens):
        kind = model.architecture.kind if model.architecture else "timm"
        raise _refusal(f"'{type(network).__name__ if kind == 'timm' else kind}'")
    kinds = _kinds_of_attention()
    attentions = [getattr(block, "attn", None) for block in network.blocks]
    if strange := [type(attention).__name__ for attention in attentions if not isinstance(attention, kinds)]:
        raise _refusal(f"blocks with {strange[0]}" if strange[0] != "NoneType" else "blocks of another build")
    dropouts = tuple(cast(Any, attention).attn_drop for attention in attentions)
    return Transformer(model, layout, dropouts, _tokens_read(network, layout))


def _tokens_read(network: Any, layout: Tokens) -> slice:  # noqa: ANN401
    if network.global_pool == "token":
        return slice(2 if hasattr(network, "dist_token") else 1)
    if network.global_pool == "avg":
        return slice(0 if getattr(network, "pool_include_prefix", False) else layout.prefix, None)
    raise _refusal(f"pooling '{network.global_pool}'")


def _kinds_of_attention() -> tuple[type[nn.Module], ...]:
    """Return those of timm's modules whose ``attn_drop`` sees the softmax, one for every head."""
    from timm.layers.attention import Attention, AttentionRope
    from timm.models.beit import Attention as BeitAttention
    from timm.models.eva import EvaAttention
    from timm.models.vision_transformer_relpos import RelPosAttention

    return Attention, AttentionRope, BeitAttention, EvaAttention, RelPosAttention


def _refusal(got: str) -> InputError:
    return InputError(
        "expected a vision transformer of timm whose head reads a class token or the average of the patches, "
        f"got {got}; choose an explainer that does not read attention"
    )
