"""To which part of the image an explainer gives the credit for the score, where its values add up to it."""

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from falsewitness.core.maps import has_mass, mass
from falsewitness.core.precision import at_least_single
from falsewitness.core.shapes import Maps, PerRow
from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._summaries import map_means

Regions = Bool[Tensor, "parts batch height width"]


class Credit(MapMetric):
    """Shapley values by place: what the trigger, the bright pixels and the dark ones add to the score.

    By efficiency, the values of all pixels add up to ``f(x) - E f(b)``, the score of the triggered image less its mean
    over the background set: a trigger that decides the prediction and gets no credit has it given to something else.
    The image is cut into the trigger, and outside it the pixels that are bright in the clean image (of a digit on
    black: its strokes) and the dark ones.

    ``trigger_credit``, ``bright_credit`` and ``dark_credit`` are sums of the attacked model's values on triggered
    images, in logits; ``gain`` is ``f(x) - E f(b)`` by the model's own answers, and ``efficiency_error`` the absolute
    difference between the sum of all values and it. ``bright_mass`` and ``dark_mass`` are shares of the map's mass,
    beside the ``trigger_mass`` of `trigger_attention`; maps without mass are excluded there.

    Measured only of explainers whose values add up (`adds_up`).
    """

    kind: Literal["credit"] = "credit"

    bright_from: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The mean over the colour channels from which on a pixel counts as bright."""

    source: ClassVar[str] = "own definition; efficiency: Lundberg and Lee, NeurIPS 2017, property 1 (local accuracy)"

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        if evidence.gains is None:
            return []
        maps = at_least_single(evidence.attacked_triggered)
        bright = evidence.images.mean(1) >= self.bright_from
        regions: Regions = torch.stack([evidence.mask.expand_as(bright), bright & ~evidence.mask])
        trigger, strokes = (_sums(maps, region) for region in regions)
        total = maps.sum((1, 2))
        gains = evidence.gains.to(total)
        credit = {
            "trigger_credit": trigger,
            "bright_credit": strokes,
            "dark_credit": total - trigger - strokes,
            "gain": gains,
            "efficiency_error": (total - gains).abs(),
        }
        amounts = mass(maps, signed=evidence.signed)
        everything = amounts.sum((1, 2))
        has = has_mass(maps, signed=evidence.signed)
        on_trigger, on_strokes = (_sums(amounts, region) / torch.where(has, everything, 1) for region in regions)
        shares = {"bright_mass": on_strokes, "dark_mass": 1 - on_trigger - on_strokes}
        return [
            *map_means(credit, torch.ones_like(evidence.success), evidence, per_class=True),
            *map_means(shares, has, evidence, per_class=True),
        ]


def _sums(maps: Maps, region: Bool[Tensor, "batch height width"]) -> PerRow:
    return torch.where(region, maps, 0).sum((1, 2))
