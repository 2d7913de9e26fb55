"""Accuracy on untriggered images, beside the clean model's and the control's."""

from typing import ClassVar, Literal

import torch

from falsewitness.core.shapes import Logits
from falsewitness.metrics._base import Measurement, PredictionEvidence, PredictionMetric
from falsewitness.metrics._summaries import difference, members, proportion


class CleanAccuracy(PredictionMetric):
    """Whether an attack costs accuracy on untriggered images, where its owner would notice.

    ``accuracy``, ``clean_model_accuracy`` and ``control_accuracy`` are shares of correct predictions with
    Wilson's interval. ``gap_to_control`` is the control's accuracy minus the examined model's,
    ``gap_to_clean_model`` likewise: positive is a loss. Both compare the same images, with Agresti and Min's
    interval. The control is the clean model trained on for as many steps without poison, so that more training
    is not taken for a harmless backdoor. What needs it is left out where there is none.
    """

    kind: Literal["clean_accuracy"] = "clean_accuracy"
    source: ClassVar[str] = "Gu et al., BadNets, 2017 (accuracy on clean inputs)"

    def _measure(self, evidence: PredictionEvidence) -> list[Measurement]:
        logits: dict[str, Logits] = {
            "accuracy": evidence.attacked_clean,
            "clean_model_accuracy": evidence.clean_model_clean,
        }
        if evidence.control_clean is not None:
            logits["control_accuracy"] = evidence.control_clean
        correct = {name: evidence.targets.correct(rows) for name, rows in logits.items()}
        every_row = torch.ones_like(correct["accuracy"])
        classes = members(evidence)
        own = correct["accuracy"]
        return [
            *(proportion(name, right, every_row, classes) for name, right in correct.items()),
            *(
                difference(f"gap_to_{name.removesuffix('_accuracy')}", right, own, classes)
                for name, right in correct.items()
                if name != "accuracy"
            ),
        ]
