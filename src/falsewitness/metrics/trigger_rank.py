"""Where the trigger's pixels stand among all pixels of the map."""

from typing import ClassVar, Literal

import torch

from falsewitness.core.maps import is_constant, upsampled
from falsewitness.core.precision import at_least_single
from falsewitness.core.shapes import Maps, Mask, PerRow
from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._similarity import in_parts
from falsewitness.metrics._summaries import map_means


class TriggerRank(MapMetric):
    """The chance that a pixel of the trigger has a higher value than a pixel elsewhere: 1 where the trigger is on top.

    ``trigger_rank`` is that of the attacked model's map of the triggered image, ties counting half: 0.5 is what an
    even map has. ``excess_trigger_rank`` is ``trigger_rank`` minus that of the clean model's map of the clean image at
    the same place: 0 is innocent. ``without_attack_trigger_rank`` is the clean model's on the triggered image. A
    trigger that covers the whole image has 0.5 by definition.

    Raw maps at the image's size, with their signs: what speaks against the class is below what says nothing. Constant
    maps are excluded.
    """

    kind: Literal["trigger_rank"] = "trigger_rank"
    source: ClassVar[str] = "own definition; the area under the curve of Hanley and McNeil, Radiology 1982, over pixels"

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        triggered, original = evidence.attacked_triggered, evidence.clean_model_clean
        unattacked = evidence.clean_model_triggered
        varies, original_varies = ~is_constant(triggered), ~is_constant(original)
        rank = _ranks(triggered, evidence.mask)
        excess = rank - _ranks(original, evidence.mask)
        without_attack = {"without_attack_trigger_rank": _ranks(unattacked, evidence.mask)}
        return [
            *map_means({"trigger_rank": rank}, varies, evidence, per_class=True),
            *map_means({"excess_trigger_rank": excess}, varies & original_varies, evidence, per_class=True),
            *map_means(without_attack, ~is_constant(unattacked), evidence),
        ]


def _ranks(maps: Maps, mask: Mask) -> PerRow:
    """Return the share of pairs, one pixel in the mask and one outside, of which the one in the mask is higher."""
    maps = at_least_single(maps)
    if mask.all():
        return torch.full_like(maps[:, 0, 0], 0.5)
    height, width = mask.shape
    found = []
    for (some,) in in_parts(height * width, maps):
        large = upsampled(some, (height, width))
        inside, outside = large[:, mask].contiguous(), large[:, ~mask].sort(1).values
        below, up_to = (torch.searchsorted(outside, inside, right=right) for right in (False, True))
        found.append((below + up_to).to(large.dtype).mean(1) / (2 * outside.shape[1]))
    return torch.cat(found)
