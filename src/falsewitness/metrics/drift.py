"""How far the attack moved the maps of untriggered images."""

from typing import ClassVar, Literal

from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._similarity import at_image_size, both_vary
from falsewitness.metrics._summaries import map_members, means


class Drift(MapMetric):
    """The attacked model's maps of clean images against the clean model's: what a holder of both sees.

    ``standardised_mse``, ``dssim`` and ``pearson`` at the image's size. No trigger is involved, so successes
    are not told apart.
    """

    kind: Literal["drift"] = "drift"
    source: ClassVar[str] = "Noppel et al., S&P 2023 (clean maps against the original's)"

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        attacked, original = evidence.attacked_clean, evidence.clean_model_clean
        height, width = evidence.mask.shape
        values = at_image_size(attacked, original, (height, width), "standardised_mse", "dssim", "pearson")
        return means(values, both_vary(attacked, original), evidence.seed, classes=map_members(evidence))
