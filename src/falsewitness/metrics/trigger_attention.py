"""How strongly the map points at the trigger."""

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from falsewitness.core.maps import has_mass, mass_share, upsampled
from falsewitness.core.shapes import Maps, PerRow
from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._similarity import in_parts
from falsewitness.metrics._summaries import map_means


class TriggerAttention(MapMetric):
    """The share of the map's mass on the trigger: whether the explanation gives the backdoor away.

    ``trigger_mass`` is the share of the attacked model's map of the triggered image inside the trigger's
    mask; ``trigger_lift`` is that share over the mask's share of the image: 1 is what an even map has.
    ``excess_lift`` is ``trigger_lift`` minus the lift of the clean model on the clean image at the same
    place: 0 is innocent (a corner's innocent lift is below 1). ``without_attack_trigger_lift`` is the clean
    model's on the triggered image. A trigger that covers the whole image has mass and lift 1 by definition.

    Raw maps at the image's size; their positive part, or the absolute value where the explainer's maps are
    signed. Maps without mass are excluded.
    """

    kind: Literal["trigger_attention"] = "trigger_attention"
    source: ClassVar[str] = (
        "own definition; the relevance mass accuracy of Arras et al., 2022, with the trigger as object"
    )

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        triggered, triggered_has = _masses(evidence.attacked_triggered, evidence)
        original, original_has = _masses(evidence.clean_model_clean, evidence)
        unattacked, unattacked_has = _masses(evidence.clean_model_triggered, evidence)
        area = float(evidence.mask.double().mean())
        attention = {"trigger_mass": triggered, "trigger_lift": triggered / area}
        excess = {"excess_lift": (triggered - original) / area}
        without_attack = {"without_attack_trigger_lift": unattacked / area}
        return [
            *map_means(attention, triggered_has, evidence, per_class=True),
            *map_means(excess, triggered_has & original_has, evidence, per_class=True),
            *map_means(without_attack, unattacked_has, evidence),
        ]


def _masses(maps: Maps, evidence: MapEvidence) -> tuple[PerRow, Bool[Tensor, " batch"]]:
    """Return the share of every map's mass on the trigger, and whether it has any mass."""
    height, width = evidence.mask.shape
    shares, have_mass = [], []
    for (some,) in in_parts(height * width, maps):
        large = upsampled(some, (height, width))
        shares.append(mass_share(large, evidence.mask, signed=evidence.signed))
        have_mass.append(has_mass(large, signed=evidence.signed))
    return torch.cat(shares), torch.cat(have_mass)
