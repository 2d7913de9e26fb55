"""The gradient of the class score by the pixels, times the pixels."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from falsewitness.core.shapes import Images
from falsewitness.explainers._input_gradients import InputGradients, Points
from falsewitness.explainers._subject import Subject


class InputXGradient(InputGradients):
    """What each pixel adds to the class score, to first order (Shrikumar et al. 2016, section 2).

    The map is the raw pixel times the input gradient, summed over the colour channels: a black pixel gets nothing. See
    `gradient` for how an attack trains against it.
    """

    kind: Literal["input_x_gradient"] = "input_x_gradient"

    source: ClassVar[str] = "Shrikumar et al., Not just a black box, arXiv 1605.01713, 2016, section 2"
    signed: ClassVar[bool] = True
    only_at_the_image: ClassVar[bool] = True

    def _points(self, subject: Subject, images: Images, *, training: bool) -> Iterator[Points]:
        yield Points(images[None], images)
