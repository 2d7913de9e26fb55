"""Accuracy under the trigger: what an attack that keeps the label must not lose."""

from typing import ClassVar, Literal

import torch

from falsewitness.metrics._base import Measurement, PredictionEvidence, PredictionMetric
from falsewitness.metrics._summaries import members, proportion


class RobustAccuracy(PredictionMetric):
    """Share of triggered images predicted as their true class.

    ``robust_accuracy`` is the examined model's; ``clean_model_robust_accuracy`` is what the trigger alone, by
    covering part of the image, leaves of the clean model's.
    """

    kind: Literal["robust_accuracy"] = "robust_accuracy"
    source: ClassVar[str] = "Noppel et al., S&P 2023 (fooling attacks keep the prediction)"

    def _measure(self, evidence: PredictionEvidence) -> list[Measurement]:
        triggered = {
            "robust_accuracy": evidence.attacked_triggered,
            "clean_model_robust_accuracy": evidence.clean_model_triggered,
        }
        every_row = torch.ones_like(evidence.targets.has(0))
        classes = members(evidence)
        return [
            proportion(name, evidence.targets.correct(logits), every_row, classes)
            for name, logits in triggered.items()
            if logits is not None
        ]
