"""How visible the trigger is on the image."""

from typing import ClassVar, Literal

import torch

from falsewitness.core.maps import ssim
from falsewitness.core.shapes import Images, PerRow
from falsewitness.metrics._base import Measurement, StampEvidence, StampMetric
from falsewitness.metrics._similarity import in_parts
from falsewitness.metrics._summaries import means


class StampVisibility(StampMetric):
    """Stamped images against the images before, averaged over images.

    ``psnr`` is the peak signal-to-noise ratio in decibels for pixels in [0, 1]; it is infinite where the
    stamp changed nothing, so such images are excluded from it. ``ssim`` is the structural similarity, the
    mean over channels; 1 is invisible. Its windows lie wholly inside the image, so that a stamp in the
    outermost corner weighs little.
    """

    kind: Literal["stamp_visibility"] = "stamp_visibility"
    source: ClassVar[str] = "Wang et al., Image Quality Assessment, IEEE TIP 2004 (SSIM); PSNR with peak 1"

    def _measure(self, evidence: StampEvidence) -> list[Measurement]:
        error = (evidence.images - evidence.stamped).square().mean((1, 2, 3))
        changed = error > 0
        psnr = -10 * torch.where(changed, error, 1).log10()
        similarity = _image_ssim(evidence.images, evidence.stamped)
        return [
            *means({"psnr": psnr}, changed, evidence.seed),
            *means({"ssim": similarity}, torch.ones_like(changed), evidence.seed),
        ]


def _image_ssim(first: Images, second: Images) -> PerRow:
    channels = first.shape[1]
    parts = [
        ssim(some.flatten(0, 1), others.flatten(0, 1)).reshape(-1, channels).mean(1)
        for some, others in in_parts(first.shape[1:].numel(), first, second)
    ]
    return torch.cat(parts)
