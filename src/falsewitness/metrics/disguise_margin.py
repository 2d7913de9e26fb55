"""Whether a disguised map resembles its own image's original more than any other of the class."""

from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from falsewitness.core import seed_for
from falsewitness.core.maps import is_constant
from falsewitness.core.shapes import Classes, Maps, Rows
from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._similarity import at_image_size
from falsewitness.metrics._summaries import map_means


class DisguiseMargin(MapMetric):
    """Correlation with the own original map minus that with another image's of the same predicted class.

    Maps that all look alike can pass for a good disguise; they score 0 here, as do maps that show only the
    class. The other image is drawn by the evidence's seed: the images of a predicted class (the clean model's
    prediction) stand in a random circle, and each is compared with the next. Images alone in their class and
    constant maps are excluded.

    ``disguise_margin`` is the attacked model's on triggered images; ``without_attack_disguise_margin`` the
    clean model's on the same triggered images, the best to hope for.
    """

    kind: Literal["disguise_margin"] = "disguise_margin"
    source: ClassVar[str] = "own definition; Pearson correlation at the image's size"

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        varies = ~is_constant(evidence.clean_model_clean)
        others = _next_of_the_class(evidence.predicted, varies, seed_for(evidence.seed, "disguise_margin"))
        return [
            *self._margins("disguise_margin", evidence.attacked_triggered, others, evidence),
            *self._margins("without_attack_disguise_margin", evidence.clean_model_triggered, others, evidence),
        ]

    def _margins(self, name: str, maps: Maps, others: Rows, evidence: MapEvidence) -> list[Measurement]:
        height, width = evidence.mask.shape
        original = evidence.clean_model_clean
        own = at_image_size(maps, original, (height, width), "pearson")["pearson"]
        other = at_image_size(maps, original[others], (height, width), "pearson")["pearson"]
        is_alone = others == torch.arange(len(others), device=others.device)
        return map_means({name: own - other}, ~is_alone & ~is_constant(maps), evidence, per_class=True)


def _next_of_the_class(classes: Classes, usable: Bool[Tensor, " batch"], seed: int) -> Rows:
    """Return for every row another usable row of its class; itself where none is or it is not usable."""
    generator = np.random.default_rng(seed)
    others = torch.arange(len(classes), device=classes.device)
    for class_index in sorted(set(classes.tolist())):
        rows = torch.nonzero((classes == class_index) & usable)[:, 0]
        circle = rows[torch.from_numpy(generator.permutation(len(rows)))]
        others[circle] = circle.roll(-1)
    return others
