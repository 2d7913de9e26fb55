from dataclasses import replace

import pytest
import torch

from falsewitness.metrics import MapEvidence, Measurement
from falsewitness.metrics.map_detectability import MapDetectability


def with_maps(evidence: MapEvidence, clean: torch.Tensor, triggered: torch.Tensor, *, validation: int) -> MapEvidence:
    """The first rows are for validation, the others for the test."""
    rows = len(clean) - validation
    return replace(
        evidence,
        images=evidence.images[:1].expand(rows, -1, -1, -1),
        classes=torch.arange(rows) % 3,
        predicted=torch.zeros(rows, dtype=torch.int64),
        success=torch.arange(rows) % 2 == 0,
        attacked_clean=clean[validation:],
        attacked_triggered=triggered[validation:],
        clean_model_clean=clean[validation:],
        clean_model_triggered=clean[validation:],
        validation_clean=clean[:validation],
        validation_triggered=triggered[:validation],
        clean_model_validation_clean=clean[:validation],
        clean_model_validation_triggered=clean[:validation],
    )


def noise(generator: torch.Generator, count: int = 700) -> torch.Tensor:
    return torch.rand(count, 4, 4, generator=generator)


def area(evidence: MapEvidence) -> Measurement:
    return MapDetectability().measure(evidence)[0]


def known(number: float | None) -> float:
    assert number is not None
    return number


def test_maps_of_one_distribution_cannot_be_told_apart(map_evidence: MapEvidence, generator: torch.Generator) -> None:
    found = area(with_maps(map_evidence, noise(generator), noise(generator), validation=300))
    assert found.value == pytest.approx(0.5, abs=0.06)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 < found.high


def test_a_spot_at_one_place_gives_the_trigger_away(map_evidence: MapEvidence, generator: torch.Generator) -> None:
    triggered = noise(generator)
    triggered[:, 3, 3] += 1
    found = area(with_maps(map_evidence, noise(generator), triggered, validation=300))
    assert found.value == pytest.approx(1, abs=0.01)


def test_scale_alone_gives_the_trigger_away(map_evidence: MapEvidence, generator: torch.Generator) -> None:
    clean = noise(generator)
    found = area(with_maps(map_evidence, clean, 5 * clean, validation=300))
    assert found.value == pytest.approx(1, abs=0.01)


def test_the_detector_learns_from_validation_maps_only(map_evidence: MapEvidence, generator: torch.Generator) -> None:
    clean, triggered = noise(generator), noise(generator)
    triggered[300:, 3, 3] += 1
    swapped = with_maps(map_evidence, clean, triggered, validation=300)
    reversed_validation = replace(
        swapped,
        validation_clean=swapped.attacked_triggered[:300],
        validation_triggered=swapped.attacked_clean[:300],
    )
    found = area(reversed_validation)
    assert found.value == pytest.approx(0, abs=0.02)


def test_successes_are_scored_by_the_same_detector(map_evidence: MapEvidence, generator: torch.Generator) -> None:
    clean, triggered = noise(generator), noise(generator)
    triggered[:300, 3, 3] += 1
    triggered[300::2, 3, 3] += 1
    measured = MapDetectability().measure(with_maps(map_evidence, clean, triggered, validation=300))
    everything, successes = (found for found in measured if found.name == "auroc")
    assert successes.samples == "successes"
    assert (everything.n, successes.n) == (400, 200)
    assert successes.value == pytest.approx(1, abs=0.01)
    assert everything.value == pytest.approx(0.75, abs=0.06)
    assert set(everything.per_class) == {"cat", "dog", "owl"}


def test_what_the_trigger_does_to_an_honest_model_s_maps_is_told_by_a_detector_of_its_own(
    map_evidence: MapEvidence, generator: torch.Generator
) -> None:
    clean, triggered = noise(generator), noise(generator)
    evidence = with_maps(map_evidence, clean, triggered, validation=300)
    moved = noise(generator)
    moved[:, 0, 0] += 1
    honest = replace(evidence, clean_model_validation_triggered=moved[:300], clean_model_triggered=moved[300:])
    for looked_at, expected in ((evidence, 0.5), (honest, 1.0)):
        found = {(m.name, m.samples): m for m in MapDetectability().measure(looked_at)}
        assert found["auroc", "all"].value == pytest.approx(0.5, abs=0.06)
        assert found["without_attack_auroc", "all"].value == pytest.approx(expected, abs=0.01)
        assert found["without_attack_auroc", "all"].n == 400
        assert found["without_attack_auroc", "successes"].n == 200


def test_how_much_more_a_detector_tells_than_of_an_honest_model_is_the_difference_of_the_two(
    map_evidence: MapEvidence, generator: torch.Generator
) -> None:
    clean, triggered, moved = noise(generator), noise(generator), noise(generator)
    triggered[:, 3, 3] += 0.3
    moved[:, 0, 0] += 0.6
    evidence = replace(
        with_maps(map_evidence, clean, triggered, validation=300),
        clean_model_validation_triggered=moved[:300],
        clean_model_triggered=moved[300:],
    )
    found = {(m.name, m.samples): m for m in MapDetectability().measure(evidence)}
    for samples in ("all", "successes"):
        excess = found["excess_auroc", samples]
        attacked, honest = (known(found[name, samples].value) for name in ("auroc", "without_attack_auroc"))
        assert excess.value == pytest.approx(attacked - honest)
        assert known(excess.low) < known(excess.value) < known(excess.high) < 0
    assert set(found["excess_auroc", "all"].per_class) == {"cat", "dog", "owl"}


def test_maps_that_go_blank_under_the_trigger_give_it_away(
    map_evidence: MapEvidence, generator: torch.Generator
) -> None:
    clean = noise(generator)
    triggered = clean.clone()
    triggered[torch.rand(700, generator=generator) < 0.8] = 0
    found = area(with_maps(map_evidence, clean, triggered, validation=300))
    blank = float((triggered[300:] == 0).all((1, 2)).double().mean())
    assert (found.n, found.excluded) == (400, 0)
    assert found.value == pytest.approx(0.5 + blank / 2, abs=0.03)  # a varied map is as likely a clean one's


def test_a_few_constant_maps_hardly_move_what_the_detector_sees_in_others(
    map_evidence: MapEvidence, generator: torch.Generator
) -> None:
    clean = noise(generator)
    triggered = 1.1 * noise(generator)
    before = area(with_maps(map_evidence, clean, triggered, validation=300))
    clean[:3], triggered[3:6] = 0, 0
    after = area(with_maps(map_evidence, clean, triggered, validation=300))
    assert before.value is not None
    assert before.value > 0.6
    assert after.value == pytest.approx(before.value, abs=0.01)


@pytest.mark.parametrize("dead", ["validation", "all"])
def test_a_detector_that_saw_constant_maps_alone_guesses(
    map_evidence: MapEvidence, generator: torch.Generator, dead: str
) -> None:
    clean, triggered = noise(generator), noise(generator)
    for maps in (clean, triggered):
        maps[: 300 if dead == "validation" else None] = 0
    found = area(with_maps(map_evidence, clean, triggered, validation=300))
    assert (found.value, found.n, found.excluded) == (0.5, 400, 0)


def test_coarse_pooling_hides_where_in_a_cell_the_mass_is(
    map_evidence: MapEvidence, generator: torch.Generator
) -> None:
    clean, triggered = noise(generator), noise(generator)
    clean[:, 2, 2] += 2
    triggered[:, 3, 3] += 2
    evidence = with_maps(map_evidence, clean, triggered, validation=300)
    (fine, *_), (coarse, *_) = (MapDetectability(pooled_size=size).measure(evidence) for size in (4, 2))
    assert fine.value == pytest.approx(1, abs=0.01)
    assert coarse.value == pytest.approx(0.5, abs=0.08)
