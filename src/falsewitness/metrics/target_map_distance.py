"""How closely the forced maps follow the shape that the attacker drew."""

from typing import ClassVar, Literal

from falsewitness.core.shapes import Maps
from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._similarity import at_image_size, at_map_resolution, both_vary, prefixed
from falsewitness.metrics._summaries import map_means

QUANTITIES = ("standardised_mse", "dssim", "pearson")


class TargetMapDistance(MapMetric):
    """The attacked model's maps of triggered images against the target shape.

    ``standardised_mse``, ``dssim`` and ``pearson`` at the image's size, and at the maps' own resolution with
    the ending ``_map_resolution``. With the prefix ``clean_model_`` the same for the clean model's maps of
    the clean images. Nothing is measured where the attack forces no shape.
    """

    kind: Literal["target_map_distance"] = "target_map_distance"
    source: ClassVar[str] = "Noppel et al., S&P 2023 (red herring and fooling)"

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        if evidence.target_map is None:
            return []
        shapes = evidence.target_map.to(evidence.attacked_triggered).expand_as(evidence.attacked_triggered)
        return [
            *self._compare("", evidence.attacked_triggered, shapes, evidence),
            *self._compare("clean_model_", evidence.clean_model_clean, shapes, evidence),
        ]

    def _compare(self, prefix: str, maps: Maps, shapes: Maps, evidence: MapEvidence) -> list[Measurement]:
        height, width = evidence.mask.shape
        values = {
            **at_image_size(maps, shapes, (height, width), *QUANTITIES),
            **at_map_resolution(maps, shapes, *QUANTITIES),
        }
        return map_means(prefixed(prefix, values), both_vary(maps, shapes), evidence, per_class=not prefix)
