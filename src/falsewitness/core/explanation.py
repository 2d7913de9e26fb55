"""What an explainer hands out."""

from typing import NamedTuple

from falsewitness.core.shapes import Logits, Maps


class Explanation(NamedTuple):
    """The model's answer and its explanation, from one forward pass.

    Attributes:
        logits: ``[batch, classes]``.
        maps: ``[batch, map_height, map_width]`` at the explainer's own resolution.
    """

    logits: Logits
    maps: Maps
