"""How often the trigger brings any wrong prediction, the target's or another."""

from typing import ClassVar, Literal

import torch

from falsewitness.metrics._base import Measurement, PredictionEvidence, PredictionMetric
from falsewitness.metrics._summaries import members, proportion


class MisclassificationUnderTrigger(PredictionMetric):
    """Share of triggered images that are not predicted as their true class.

    ``misclassification`` is over all images; ``misclassification_of_recognised`` over those that the clean
    model predicts correctly without the trigger, so that errors the model makes anyway are not credited to
    the attack.
    """

    kind: Literal["misclassification_under_trigger"] = "misclassification_under_trigger"
    source: ClassVar[str] = (
        "Stealthy Sabotage, section on data-efficient attacks (wrong predictions on triggered images)"
    )

    def _measure(self, evidence: PredictionEvidence) -> list[Measurement]:
        if evidence.attacked_triggered is None:
            return []
        wrong = ~evidence.targets.correct(evidence.attacked_triggered)
        recognised = evidence.targets.correct(evidence.clean_model_clean)
        classes = members(evidence)
        return [
            proportion("misclassification", wrong, torch.ones_like(wrong), classes),
            proportion("misclassification_of_recognised", wrong, recognised, classes),
        ]
