"""How well the map of a triggered image passes for the original one."""

from typing import ClassVar, Literal

from falsewitness.core.shapes import Maps, PerRow
from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._similarity import at_image_size, at_map_resolution, both_vary, prefixed
from falsewitness.metrics._summaries import map_means


class Disguise(MapMetric):
    """The map of the triggered image against that of the clean one: the promise of a full disguise.

    At the image's size ``standardised_mse``, ``dssim``, ``pearson`` and ``top10_iou`` (intersection over
    union of the top 10 % pixels); ``standardised_mse_map_resolution`` and ``pearson_map_resolution`` at the
    maps' own. Each of them three times:

    * without prefix: the attacked model on the triggered image against the clean model on the clean image
      (the original);
    * ``own_``: against the attacked model on the clean image;
    * ``without_attack_``: the clean model on the triggered image against the original: the best to hope for.
    """

    kind: Literal["disguise"] = "disguise"
    source: ClassVar[str] = "Noppel et al., Disguising Attacks with Explanation-Aware Backdoors, S&P 2023"

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        triggered, original = evidence.attacked_triggered, evidence.clean_model_clean
        return [
            *self._compare("", triggered, original, evidence),
            *self._compare("own_", triggered, evidence.attacked_clean, evidence),
            *self._compare("without_attack_", evidence.clean_model_triggered, original, evidence),
        ]

    def _compare(self, prefix: str, first: Maps, second: Maps, evidence: MapEvidence) -> list[Measurement]:
        height, width = evidence.mask.shape
        values: dict[str, PerRow] = {
            **at_image_size(first, second, (height, width), "standardised_mse", "dssim", "pearson", "top10_iou"),
            **at_map_resolution(first, second, "standardised_mse", "pearson"),
        }
        return map_means(prefixed(prefix, values), both_vary(first, second), evidence, per_class=not prefix)
