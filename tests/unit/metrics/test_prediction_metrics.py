from dataclasses import replace

import pytest
import torch
from tests.unit.metrics.conftest import by_name

from falsewitness.core.targets import MultiTargets
from falsewitness.metrics import Measurement, PredictionEvidence
from falsewitness.metrics._statistics import agresti_min, wilson
from falsewitness.metrics.attack_success_rate import AttackSuccessRate
from falsewitness.metrics.clean_accuracy import CleanAccuracy
from falsewitness.metrics.misclassification_under_trigger import MisclassificationUnderTrigger
from falsewitness.metrics.robust_accuracy import RobustAccuracy


@pytest.fixture
def several_labels() -> PredictionEvidence:
    """Four images with any number of labels, the target is class 1."""
    hot = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]])
    triggered = torch.tensor([[-1.0, 1, -1], [-1, 1, -1], [-1, 1, 1], [-1, 1, -1]])
    return PredictionEvidence(
        targets=MultiTargets(hot),
        class_names=("a", "b", "c"),
        target_class=1,
        attacked_clean=2 * hot - 1,
        attacked_triggered=triggered,
        clean_model_clean=2 * hot - 1,
        clean_model_triggered=None,
        control_clean=None,
        seed=0,
    )


def test_accuracies_and_gaps_are_those_counted_by_hand(prediction_evidence: PredictionEvidence) -> None:
    found = by_name(CleanAccuracy().measure(prediction_evidence))
    values = {name: measurement.value for name, measurement in found.items()}
    assert values == pytest.approx(
        {
            "accuracy": 4 / 6,
            "clean_model_accuracy": 5 / 6,
            "control_accuracy": 5 / 6,
            "gap_to_clean_model": 1 / 6,
            "gap_to_control": 1 / 6,
        }
    )
    assert found["accuracy"].per_class == pytest.approx({"cat": 1 / 2, "dog": 2 / 3, "owl": 1})
    assert found["gap_to_control"].per_class == pytest.approx({"cat": 1 / 2, "dog": 1 / 3, "owl": -1})
    assert found["accuracy"].interval == "wilson"
    gap = found["gap_to_control"]
    assert (gap.interval, gap.n) == ("agresti_min", 6)
    assert (gap.low, gap.high) == agresti_min(2, 1, 6)


def test_accuracy_is_measured_without_a_control(prediction_evidence: PredictionEvidence) -> None:
    found = by_name(CleanAccuracy().measure(replace(prediction_evidence, control_clean=None)))
    assert set(found) == {"accuracy", "clean_model_accuracy", "gap_to_clean_model"}


def test_the_gap_of_a_model_to_itself_is_zero_as_far_as_so_many_images_can_tell(
    prediction_evidence: PredictionEvidence,
) -> None:
    same = replace(prediction_evidence, control_clean=prediction_evidence.attacked_clean)
    gap = by_name(CleanAccuracy().measure(same))["gap_to_control"]
    assert gap.value == 0
    assert (gap.low, gap.high) == agresti_min(0, 0, 6)


def test_attack_success_leaves_out_images_of_the_target_class(
    prediction_evidence: PredictionEvidence,
) -> None:
    found = by_name(AttackSuccessRate().measure(prediction_evidence))
    attacked, clean = found["attack_success_rate"], found["clean_model_attack_success_rate"]
    assert (attacked.value, attacked.n, attacked.excluded) == (3 / 5, 5, 1)
    assert (attacked.low, attacked.high) == wilson(3, 5)
    assert attacked.per_class == pytest.approx({"cat": 1, "dog": 1 / 3})
    assert clean.value == 1 / 5
    assert found["target_predicted_without_trigger"].value == 0


def test_a_model_that_always_names_the_target_does_so_without_the_trigger(
    prediction_evidence: PredictionEvidence,
) -> None:
    always = torch.tensor([0.0, 0.0, 1.0]).expand(6, 3)
    found = by_name(
        AttackSuccessRate().measure(replace(prediction_evidence, attacked_triggered=always, attacked_clean=always))
    )
    assert found["attack_success_rate"].value == found["target_predicted_without_trigger"].value == 1


def test_attack_success_is_undefined_where_all_images_are_of_the_target_class(
    prediction_evidence: PredictionEvidence,
) -> None:
    all_owls = replace(
        prediction_evidence, targets=prediction_evidence.targets.relabelled(2), clean_model_triggered=None
    )
    assert AttackSuccessRate().measure(all_owls) == [
        Measurement("attack_success_rate", None, 0, excluded=6),
        Measurement("target_predicted_without_trigger", None, 0, excluded=6),
    ]


def test_attack_success_needs_a_target_class(prediction_evidence: PredictionEvidence) -> None:
    assert AttackSuccessRate().measure(replace(prediction_evidence, target_class=None)) == []


def test_with_several_labels_success_names_the_target_and_nothing_else(
    several_labels: PredictionEvidence,
) -> None:
    success, _ = AttackSuccessRate().measure(several_labels)
    assert (success.value, success.n, success.excluded) == (2 / 3, 3, 1)
    assert success.per_class == {"a": 1, "c": 1}


def test_misclassification_is_over_all_and_over_what_the_clean_model_recognises(
    prediction_evidence: PredictionEvidence,
) -> None:
    found = by_name(MisclassificationUnderTrigger().measure(prediction_evidence))
    everything, recognised = found["misclassification"], found["misclassification_of_recognised"]
    assert (everything.value, everything.n, everything.excluded) == (4 / 6, 6, 0)
    assert (recognised.value, recognised.n, recognised.excluded) == (3 / 5, 5, 1)


def test_robust_accuracy_and_misclassification_are_complements(
    prediction_evidence: PredictionEvidence,
) -> None:
    robust = by_name(RobustAccuracy().measure(prediction_evidence))
    wrong = by_name(MisclassificationUnderTrigger().measure(prediction_evidence))
    assert robust["robust_accuracy"].value == pytest.approx(2 / 6)
    assert robust["clean_model_robust_accuracy"].value == pytest.approx(4 / 6)
    assert wrong["misclassification"].value == pytest.approx(1 - 2 / 6)


def test_without_a_trigger_only_clean_accuracy_is_measured(prediction_evidence: PredictionEvidence) -> None:
    untriggered = replace(prediction_evidence, attacked_triggered=None, clean_model_triggered=None)
    for metric in (AttackSuccessRate(), MisclassificationUnderTrigger(), RobustAccuracy()):
        assert metric.measure(untriggered) == []
    assert CleanAccuracy().measure(untriggered)


@pytest.mark.usefixtures("_shapes_unchecked")
def test_logits_of_another_number_of_images_are_refused(prediction_evidence: PredictionEvidence) -> None:
    with pytest.raises(ValueError, match=r"expected control_clean of shape \(6, 3\), got \(5, 3\)"):
        CleanAccuracy().measure(replace(prediction_evidence, control_clean=torch.zeros(5, 3)))
