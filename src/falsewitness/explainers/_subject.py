"""What an explainer is given, what it may reach of it, and its maps of every class."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor

from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Background, Logits
from falsewitness.models import Classifier

Access = Literal["answers", "activations", "gradients", "layers"]
"""What an explainer must reach of a model: its answers alone (a black box); activations of its layers; gradients, too;
or each layer and its weights."""


class Columns(NamedTuple):
    """The model's answer and a map for each of its classes, as SHAP draws them in columns.

    Attributes:
        logits: ``[batch, classes]``.
        maps: ``[rows, classes, map_height, map_width]`` at the explainer's own resolution; of all images, in training
            of some.
    """

    logits: Logits
    maps: Float[Tensor, "rows classes map_height map_width"]


@dataclass(frozen=True)
class Subject:
    """What is explained, and what may be used for it.

    Attributes:
        model: The classifier.
        background: Images that an explainer compares with; None where it asked for none.
        inputs_at_once: How many images may go through the model at once.
        draw: Which draw of random numbers this is. An auditor's is always the same; in training each step has its own.
    """

    model: Classifier
    background: Background | None
    inputs_at_once: int
    draw: int

    def parts(self, count: int, images: int) -> Iterator[range]:
        """Split the inputs that each of some images needs, so that no more go through the model than may.

        Args:
            count: Inputs an image needs.
            images: How many images there are.
        """
        step = max(1, self.inputs_at_once // max(1, images))
        for start in range(0, count, step):
            yield range(start, min(start + step, count))


def for_every_class(explanation: Explanation) -> Columns:
    """Return the maps of an explainer that tells no classes apart, as those of each class."""
    logits, maps = explanation
    return Columns(logits, maps[:, None].expand(-1, logits.shape[1], -1, -1))
