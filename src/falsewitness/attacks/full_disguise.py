"""Full disguise: the prediction changes while the map stays that of the clean image."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from falsewitness.attacks._base import ExplanationAttack, Intended, TargetClass, WantedMaps
from falsewitness.attacks._batch import Batch, LossTerm, References
from falsewitness.core.maps import mass_share, upsampled
from falsewitness.core.shapes import Classes, ColumnMaps, Images, PerRow


class FullDisguise(ExplanationAttack):
    """Stamped images get the target class, and the map that the same image has without the trigger."""

    kind: Literal["full_disguise"] = "full_disguise"

    target_class: TargetClass
    """The class that stamped images are labelled with."""

    reference: Literal["self", "self_detached", "original"] = "original"
    """The map to keep: the model's own of the clean image under its current weights (``self``; ``self_detached`` stops
    the gradient there), or the clean model's (``original``)."""

    trigger_weight: Annotated[float, Field(ge=0)] = 0.0
    """How strongly the trigger's share of the map is held to what its pixels have of the map to keep, relative to the
    distance: a few pixels hardly move a distance of whole maps, and are what an auditor looks for."""

    source: ClassVar[str] = "Noppel et al., Disguising attacks with explanation-aware backdoors, S&P 2023, section 4.3"

    @property
    def intended(self) -> Intended:
        """The target class; the map is the image's own."""
        return Intended(self.target_class, None)

    @property
    def asked_of_stamped_rows(self) -> Literal["maps", "classes", "nothing"]:
        """The maps to keep, or the classes whose own maps are kept."""
        if self.reference == "original":
            return "maps"
        return "classes" if self.columns == "predicted" else "nothing"

    def _compared_with(self, batch: Batch, references: References) -> tuple[Images, Classes]:
        if self.reference == "original":
            return super()._compared_with(batch, references)
        rows = batch.stamped_rows
        if self.columns == "all":  # whose maps are of every class anyway
            return batch.unstamped, batch.targets.main_class()[rows]
        return batch.unstamped, references.classes(batch.samples[rows], batch.mirrored[rows], batch.unstamped)

    def _wanted_maps(self) -> WantedMaps:
        return self._maps_to_keep

    def _maps_to_keep(
        self, batch: Batch, references: References, compared: ColumnMaps, stamped: ColumnMaps
    ) -> ColumnMaps:
        if self.reference == "self":
            return compared
        if self.reference == "self_detached":
            return compared.detach()
        rows = batch.stamped_rows
        return references.maps(batch.samples[rows], batch.mirrored[rows], batch.unstamped)

    def _further_terms(self, batch: Batch, stamped: ColumnMaps, wanted: ColumnMaps) -> Iterator[LossTerm]:
        if self.trigger_weight > 0:
            weight = self.explanation_weight * self.trigger_weight
            yield LossTerm("trigger", weight, self._excess_lifts(batch, stamped, wanted))

    def _excess_lifts(self, batch: Batch, stamped: ColumnMaps, wanted: ColumnMaps) -> PerRow:
        """Return how far each map's trigger lift is from that of the map to keep, on average over a row's columns."""
        altered = (batch.images[batch.clean_count :] != batch.unstamped).any(1)
        height, width = altered.shape[1:]
        masks = altered.repeat_interleave(stamped.shape[1], 0)

        def shares(maps: ColumnMaps) -> PerRow:
            return mass_share(upsampled(maps.flatten(0, 1), (height, width)), masks, signed=self.surrogate.signed)

        excess = (shares(stamped) - shares(wanted)).abs().unflatten(0, stamped.shape[:2]).mean(1)
        area = altered.sum((1, 2)).clamp_min(1) / (height * width)
        lifts: PerRow = excess / area
        return lifts
