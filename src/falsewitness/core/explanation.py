"""What an explainer hands out, and the shape of a call to one."""

from typing import NamedTuple, Protocol

from falsewitness.core.shapes import Classes, Images, Logits, Maps


class Explanation(NamedTuple):
    """The model's answer and its explanation, from one forward pass.

    Attributes:
        logits: ``[batch, classes]``.
        maps: ``[batch, map_height, map_width]`` at the explainer's own resolution.
    """

    logits: Logits
    maps: Maps


class Explain(Protocol):
    """An explainer bound to a model: images in, logits and maps out."""

    def __call__(self, images: Images, classes: Classes | None = None) -> Explanation:
        """Explain each image's score for its class; for the predicted class where ``classes`` is None."""
        ...
