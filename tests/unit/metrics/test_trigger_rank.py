"""Where the trigger's pixels stand, against a count of pairs."""

from dataclasses import replace

import pytest
import torch
from tests.unit.metrics.conftest import by_name

from falsewitness.core.maps import upsampled
from falsewitness.metrics import MapEvidence
from falsewitness.metrics.trigger_rank import TriggerRank


def slow_rank(large: torch.Tensor, mask: torch.Tensor) -> float:
    """Return the share of pairs, a pixel of the trigger and another, of which the former is higher."""
    wins = 0.0
    inside, outside = large[mask].tolist(), large[~mask].tolist()
    for value in inside:
        wins += sum(1.0 if value > other else 0.5 if value == other else 0.0 for other in outside)
    return wins / (len(inside) * len(outside))


def test_ranks_are_counted_pair_by_pair(map_evidence: MapEvidence) -> None:
    evidence = replace(map_evidence, attacked_triggered=map_evidence.attacked_triggered.mul(4).round() - 2)
    found = by_name(TriggerRank().measure(evidence))

    def mean(maps: torch.Tensor) -> float:
        return sum(slow_rank(large, evidence.mask) for large in upsampled(maps, (16, 16))) / len(maps)

    original = mean(evidence.clean_model_clean)
    assert found["trigger_rank"].value == pytest.approx(mean(evidence.attacked_triggered))
    assert found["excess_trigger_rank"].value == pytest.approx(mean(evidence.attacked_triggered) - original)
    assert found["without_attack_trigger_rank"].value == pytest.approx(mean(evidence.clean_model_triggered))


def test_a_map_that_points_at_the_trigger_ranks_it_highest_and_one_against_it_lowest(
    map_evidence: MapEvidence,
) -> None:
    at_trigger = map_evidence.mask.double().expand(12, 16, 16)
    for sign, expected in ((1, 1.0), (-1, 0.0)):
        evidence = replace(
            map_evidence,
            attacked_triggered=sign * at_trigger,
            attacked_clean=at_trigger,
            clean_model_clean=sign * at_trigger,
            clean_model_triggered=at_trigger,
            validation_clean=at_trigger,
            clean_model_validation_triggered=at_trigger,
            clean_model_validation_clean=at_trigger,
            validation_triggered=at_trigger,
            target_map=None,
        )
        found = by_name(TriggerRank().measure(evidence))
        assert found["trigger_rank"].value == expected
        assert found["excess_trigger_rank"].value == 0
        assert found["without_attack_trigger_rank"].value == 1


def test_a_trigger_on_the_whole_image_is_in_the_middle_by_definition(map_evidence: MapEvidence) -> None:
    found = by_name(TriggerRank().measure(replace(map_evidence, mask=torch.ones(16, 16, dtype=torch.bool))))
    assert found["trigger_rank"].value == 0.5
