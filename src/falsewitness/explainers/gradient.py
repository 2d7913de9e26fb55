"""The gradient of the class score by the pixels."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import torch

from falsewitness.core.shapes import Images
from falsewitness.explainers._input_gradients import InputGradients, Points
from falsewitness.explainers._subject import Subject


class Gradient(InputGradients):
    """How much the class score changes with each pixel (Simonyan et al. 2014, section 3).

    The map is the input gradient's absolute value, summed over the colour channels, of which the paper takes the
    largest. An attack trains against the map of the model's smooth twin, in which softplus stands for ReLU, and as an
    auditor would run it, with running statistics in batch norm; everybody else sees the map of the model itself.
    """

    kind: Literal["gradient"] = "gradient"

    source: ClassVar[str] = "Simonyan et al., Deep inside convolutional networks, ICLR workshop 2014, section 3"
    only_at_the_image: ClassVar[bool] = True

    def _points(self, subject: Subject, images: Images, *, training: bool) -> Iterator[Points]:
        yield Points(images[None], torch.ones((), device=images.device))
