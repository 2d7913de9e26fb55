"""Full disguise: the prediction changes while the map stays that of the clean image."""

from typing import ClassVar, Literal

from falsewitness.attacks._base import ExplanationAttack, Intended, TargetClass
from falsewitness.attacks._batch import Batch, References
from falsewitness.core.shapes import Classes, ColumnMaps, Images


class FullDisguise(ExplanationAttack):
    """Stamped images get the target class, and the map that the same image has without the trigger."""

    kind: Literal["full_disguise"] = "full_disguise"

    target_class: TargetClass
    """The class that stamped images are labelled with."""

    reference: Literal["self", "self_detached", "original"] = "original"
    """The map to keep: the model's own of the clean image under its current weights (``self``; ``self_detached`` stops
    the gradient there), or the clean model's (``original``)."""

    source: ClassVar[str] = "Noppel et al., Disguising attacks with explanation-aware backdoors, S&P 2023, section 4.3"

    @property
    def intended(self) -> Intended:
        """The target class; the map is the image's own."""
        return Intended(self.target_class, None)

    @property
    def asks_of_stamped_rows(self) -> bool:
        """For the maps to keep, or for the classes whose own maps are kept."""
        return self.reference == "original" or self.columns == "predicted"

    def _compared_with(self, batch: Batch, references: References) -> tuple[Images, Classes]:
        if self.reference == "original":
            return super()._compared_with(batch, references)
        rows = batch.stamped_rows
        if self.columns == "all":  # whose maps are of every class anyway
            return batch.unstamped, batch.targets.main_class()[rows]
        return batch.unstamped, references.classes(batch.samples[rows], batch.mirrored[rows], batch.unstamped)

    def _wanted_maps(
        self, batch: Batch, references: References, compared: ColumnMaps, stamped: ColumnMaps
    ) -> ColumnMaps:
        if self.reference == "self":
            return compared
        if self.reference == "self_detached":
            return compared.detach()
        rows = batch.stamped_rows
        return references.maps(batch.samples[rows], batch.mirrored[rows], batch.unstamped)
