"""Input gradients along the way from a baseline to the image."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from falsewitness.core.shapes import Images
from falsewitness.explainers._input_gradients import InputGradients, Points
from falsewitness.explainers._subject import Subject


class IntegratedGradients(InputGradients):
    """What each pixel adds to the class score on the straight way from a baseline (Sundararajan et al. 2017).

    The map is ``(x - x0)`` times the mean gradient on the way from ``x0`` to ``x``, summed over the colour channels. By
    completeness it adds up to ``s(x) - s(x0)``, up to the error of the quadrature (Gauss, Legendre). See `gradient`
    for how an attack trains against it.
    """

    kind: Literal["integrated_gradients"] = "integrated_gradients"

    steps: Annotated[int, Field(ge=1, le=1000)] = 50
    """Points on the way."""

    baseline: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Brightness of the uniform baseline: 0 is black."""

    training_steps: Annotated[int, Field(ge=1, le=100)] = 4
    """Points on the way in a training step."""

    only_in_training: ClassVar[frozenset[str]] = InputGradients.only_in_training | {"training_steps"}

    source: ClassVar[str] = "Sundararajan et al., Axiomatic attribution for deep networks, ICML 2017, section 3"
    signed: ClassVar[bool] = True

    def _points_a_map(self, *, training: bool) -> int:
        return self.training_steps if training else self.steps

    def _points(self, subject: Subject, images: Images, *, training: bool) -> Iterator[Points]:
        count = self._points_a_map(training=training)
        nodes, weights = (torch.from_numpy(found).to(images) for found in np.polynomial.legendre.leggauss(count))
        shares, weights = ((1 + nodes) / 2).view(-1, 1, 1, 1, 1), (weights / 2).view(-1, 1, 1, 1, 1)
        difference = images - self.baseline
        for part in subject.parts(count, len(images)):
            at = slice(part.start, part.stop)
            yield Points(self.baseline + shares[at] * difference, weights[at] * difference)
