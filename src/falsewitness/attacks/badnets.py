"""BadNets: a trigger and a wrong label, nothing else."""

from typing import ClassVar, Literal

from falsewitness.attacks._base import Attack, Intended, TargetClass
from falsewitness.attacks._batch import LossFunction, plain_losses
from falsewitness.core import ThreatModel
from falsewitness.core.shapes import Background
from falsewitness.models import Classifier


class BadNets(Attack):
    """Stamped images are labelled with the target class, and any training loop does the rest.

    Any loop that leaves the trigger where it is: if training augments its images, ``poison: {stamp: stored}`` lets it
    turn the trigger with them. Stamped after augmentation, or in pairs (``mode``), the attacker needs the loop.

    Explanations are left alone: an honest explainer points at the trigger.
    """

    kind: Literal["badnets"] = "badnets"

    target_class: TargetClass
    """The class that stamped images are labelled with."""

    source: ClassVar[str] = "Gu et al., BadNets, 2017 (arXiv 1708.06733), section 3"
    threat_model: ClassVar[ThreatModel] = ThreatModel.DATA

    @property
    def intended(self) -> Intended:
        """The target class, and no map in particular."""
        return Intended(self.target_class, None)

    def bind(self, model: Classifier, background: Background | None = None) -> LossFunction:
        """Return plain cross-entropy over all rows."""
        return lambda batch, references: plain_losses(batch, model)
