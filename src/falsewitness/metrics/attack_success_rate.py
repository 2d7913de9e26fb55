"""How often the trigger brings the prediction that the attacker wants."""

from typing import ClassVar, Literal

from falsewitness.metrics._base import Measurement, PredictionEvidence, PredictionMetric
from falsewitness.metrics._summaries import members, proportion


class AttackSuccessRate(PredictionMetric):
    """Share of triggered images predicted as the target, among those that are not truly of it.

    Images of the target class would count as successes of an attack that does nothing; they are reported as
    excluded. With several labels an image, a prediction is the target where it names the target and no other
    class: the label that poisoned images are trained on. ``clean_model_attack_success_rate`` is what the
    clean model does under the same trigger, ``target_predicted_without_trigger`` how often the attacked model names
    the target for the same images without it: where that is as often, the trigger does nothing. Without a target class
    nothing is measured.
    """

    kind: Literal["attack_success_rate"] = "attack_success_rate"
    source: ClassVar[str] = "Gu et al., BadNets, 2017; Wilson, JASA 1927"

    def _measure(self, evidence: PredictionEvidence) -> list[Measurement]:
        if evidence.target_class is None or evidence.attacked_triggered is None:
            return []
        wanted = evidence.targets.relabelled(evidence.target_class)
        counted = ~evidence.targets.has(evidence.target_class)
        answers = {
            "attack_success_rate": evidence.attacked_triggered,
            "clean_model_attack_success_rate": evidence.clean_model_triggered,
            "target_predicted_without_trigger": evidence.attacked_clean,
        }
        classes = members(evidence)
        return [
            proportion(name, wanted.correct(logits), counted, classes)
            for name, logits in answers.items()
            if logits is not None
        ]
