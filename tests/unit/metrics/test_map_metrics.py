from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.unit.metrics.conftest import by_name

from falsewitness.core.maps import dssim, mse_standardised, pearson, top_iou, upsampled
from falsewitness.metrics import MapEvidence, MapMetric
from falsewitness.metrics.disguise import Disguise
from falsewitness.metrics.disguise_margin import DisguiseMargin
from falsewitness.metrics.drift import Drift
from falsewitness.metrics.target_map_distance import TargetMapDistance
from falsewitness.metrics.trigger_attention import TriggerAttention
from falsewitness.metrics.trigger_rank import TriggerRank

SIZE = (16, 16)


def constant_rows(maps: torch.Tensor, *rows: int) -> torch.Tensor:
    maps = maps.clone()
    maps[list(rows)] = 0.5
    return maps


def test_disguise_compares_three_pairs_at_both_sizes(map_evidence: MapEvidence) -> None:
    found = by_name(Disguise().measure(map_evidence))
    triggered, original = map_evidence.attacked_triggered, map_evidence.clean_model_clean
    pairs = {
        "": (triggered, original),
        "own_": (triggered, map_evidence.attacked_clean),
        "without_attack_": (map_evidence.clean_model_triggered, original),
    }
    expected: dict[str, float] = {}
    for prefix, (first, second) in pairs.items():
        large_first, large_second = upsampled(first, SIZE), upsampled(second, SIZE)
        expected |= {
            f"{prefix}standardised_mse": mse_standardised(large_first, large_second).mean().item(),
            f"{prefix}dssim": dssim(large_first, large_second).mean().item(),
            f"{prefix}pearson": pearson(large_first, large_second).mean().item(),
            f"{prefix}top10_iou": top_iou(large_first, large_second, 0.1).mean().item(),
            f"{prefix}standardised_mse_map_resolution": mse_standardised(first, second).mean().item(),
            f"{prefix}pearson_map_resolution": pearson(first, second).mean().item(),
        }
    assert {name: measurement.value for name, measurement in found.items()} == pytest.approx(expected)


def test_a_perfect_disguise_differs_in_scale_and_shift_only(map_evidence: MapEvidence) -> None:
    perfect = replace(map_evidence, attacked_triggered=3 * map_evidence.clean_model_clean + 1)
    found = by_name(Disguise().measure(perfect))
    values = [found[name].value for name in ("standardised_mse", "dssim", "pearson", "top10_iou")]
    assert values == pytest.approx([0, 0, 1, 1], abs=1e-9)


def test_successes_are_listed_apart(map_evidence: MapEvidence) -> None:
    successes = by_name(Disguise().measure(map_evidence), "successes")["pearson_map_resolution"]
    rows = map_evidence.success
    expected = pearson(map_evidence.attacked_triggered[rows], map_evidence.clean_model_clean[rows])
    assert successes.n == 9
    assert successes.value == pytest.approx(expected.mean().item())
    assert successes.per_class == {}


def test_means_by_true_class_leave_out_classes_without_samples(map_evidence: MapEvidence) -> None:
    found = by_name(Disguise().measure(map_evidence))["pearson_map_resolution"]
    rows = pearson(map_evidence.attacked_triggered, map_evidence.clean_model_clean)
    assert found.per_class == pytest.approx({"cat": rows[::2].mean().item(), "dog": rows[1::2].mean().item()})


def test_a_constant_map_on_either_side_is_counted_and_left_out(map_evidence: MapEvidence) -> None:
    evidence = replace(
        map_evidence,
        attacked_triggered=constant_rows(map_evidence.attacked_triggered, 0, 1),
        clean_model_clean=constant_rows(map_evidence.clean_model_clean, 1, 11),
    )
    found = by_name(Disguise().measure(evidence))
    counts = {name: (found[name].n, found[name].excluded) for name in ("dssim", "own_dssim", "without_attack_dssim")}
    assert counts == {"dssim": (9, 3), "own_dssim": (10, 2), "without_attack_dssim": (10, 2)}
    kept = by_name(
        Disguise().measure(
            replace(
                map_evidence,
                images=map_evidence.images[2:11],
                classes=map_evidence.classes[2:11],
                predicted=map_evidence.predicted[2:11],
                success=map_evidence.success[2:11],
                attacked_triggered=map_evidence.attacked_triggered[2:11],
                attacked_clean=map_evidence.attacked_clean[2:11],
                clean_model_clean=map_evidence.clean_model_clean[2:11],
                clean_model_triggered=map_evidence.clean_model_triggered[2:11],
            )
        )
    )
    assert found["dssim"].value == pytest.approx(kept["dssim"].value)


def test_drift_compares_clean_images_under_both_models(map_evidence: MapEvidence) -> None:
    found = by_name(Drift().measure(map_evidence))
    attacked = upsampled(map_evidence.attacked_clean, SIZE)
    original = upsampled(map_evidence.clean_model_clean, SIZE)
    assert {name: measurement.value for name, measurement in found.items()} == pytest.approx(
        {
            "standardised_mse": mse_standardised(attacked, original).mean().item(),
            "dssim": dssim(attacked, original).mean().item(),
            "pearson": pearson(attacked, original).mean().item(),
        }
    )


def test_an_unmoved_model_has_no_drift(map_evidence: MapEvidence) -> None:
    unmoved = replace(map_evidence, attacked_clean=map_evidence.clean_model_clean)
    found = by_name(Drift().measure(unmoved))
    assert (found["standardised_mse"].value, found["dssim"].value) == pytest.approx((0, 0), abs=1e-12)


def test_a_map_in_the_target_shape_is_at_no_distance(map_evidence: MapEvidence) -> None:
    assert map_evidence.target_map is not None
    forced = replace(map_evidence, attacked_triggered=2 * map_evidence.target_map.expand(12, 4, 4))
    found = by_name(TargetMapDistance().measure(forced))
    names = ("standardised_mse", "dssim", "pearson")
    for ending in ("", "_map_resolution"):
        assert [found[name + ending].value for name in names] == pytest.approx([0, 0, 1], abs=1e-9)
    without = pearson(map_evidence.clean_model_clean, map_evidence.target_map.expand(12, 4, 4)).mean().item()
    assert found["clean_model_pearson_map_resolution"].value == pytest.approx(without)


def test_target_distance_needs_a_target(map_evidence: MapEvidence) -> None:
    assert TargetMapDistance().measure(replace(map_evidence, target_map=None)) == []


def test_a_constant_target_leaves_nothing_to_compare(map_evidence: MapEvidence) -> None:
    flat = replace(map_evidence, target_map=torch.ones(4, 4, dtype=torch.float64))
    found = by_name(TargetMapDistance().measure(flat))["dssim"]
    assert (found.value, found.n, found.excluded) == (None, 0, 12)


def test_identical_maps_have_no_margin_however_good_their_disguise(map_evidence: MapEvidence) -> None:
    same = map_evidence.clean_model_clean.mean(0).expand(12, 4, 4)
    found = by_name(DisguiseMargin().measure(replace(map_evidence, attacked_triggered=same)))
    assert found["disguise_margin"].value == pytest.approx(0, abs=1e-9)


def test_the_margin_is_own_minus_the_next_of_a_circle_within_the_class(map_evidence: MapEvidence) -> None:
    """Classes of two leave one circle only, so that the other image is known."""
    evidence = replace(map_evidence, predicted=torch.arange(12) // 2)
    measured = by_name(DisguiseMargin().measure(evidence))
    original = upsampled(evidence.clean_model_clean, SIZE).numpy()
    for name, maps in (
        ("disguise_margin", evidence.attacked_triggered),
        ("without_attack_disguise_margin", evidence.clean_model_triggered),
    ):
        triggered = upsampled(maps, SIZE).numpy()
        margins = []
        for row in range(12):
            other = row + 1 if row % 2 == 0 else row - 1
            own_correlation = np.corrcoef(triggered[row].ravel(), original[row].ravel())[0, 1]
            other_correlation = np.corrcoef(triggered[row].ravel(), original[other].ravel())[0, 1]
            margins.append(own_correlation - other_correlation)
        found = measured[name]
        assert found.value == pytest.approx(np.mean(margins))
        assert found.per_class == pytest.approx({"cat": np.mean(margins[::2]), "dog": np.mean(margins[1::2])})


def test_a_class_s_mean_leaves_its_excluded_images_out(map_evidence: MapEvidence) -> None:
    evidence = replace(map_evidence, attacked_triggered=constant_rows(map_evidence.attacked_triggered, 0, 3))
    found = by_name(Disguise().measure(evidence))["standardised_mse"]
    assert found.values is not None
    assert np.flatnonzero(np.isnan(found.values)).tolist() == [0, 3]
    of_class = {"cat": np.nanmean(found.values[::2]), "dog": np.nanmean(found.values[1::2])}
    assert found.per_class == pytest.approx(of_class, rel=1e-6)


def test_images_alone_in_their_predicted_class_have_no_margin(map_evidence: MapEvidence) -> None:
    evidence = replace(
        map_evidence,
        predicted=torch.tensor([0] + [1] * 11),
        clean_model_clean=constant_rows(map_evidence.clean_model_clean, 5),
        attacked_triggered=constant_rows(map_evidence.attacked_triggered, 6),
    )
    found = by_name(DisguiseMargin().measure(evidence))
    assert (found["disguise_margin"].n, found["disguise_margin"].excluded) == (9, 3)
    assert (found["without_attack_disguise_margin"].n, found["without_attack_disguise_margin"].excluded) == (
        10,
        2,
    )


def test_the_other_image_is_drawn_by_seed(map_evidence: MapEvidence) -> None:
    first = DisguiseMargin().measure(map_evidence)
    assert first == DisguiseMargin().measure(map_evidence)
    assert first[0].value != DisguiseMargin().measure(replace(map_evidence, seed=1))[0].value


def test_an_even_map_has_the_trigger_share_of_the_image_as_its_mass(map_evidence: MapEvidence) -> None:
    even = torch.ones(12, 4, 4, dtype=torch.float64)
    found = by_name(
        TriggerAttention().measure(
            replace(map_evidence, attacked_triggered=even, clean_model_clean=even, clean_model_triggered=even)
        )
    )
    assert {name: measurement.value for name, measurement in found.items()} == pytest.approx(
        {"trigger_mass": 1 / 16, "trigger_lift": 1, "excess_lift": 0, "without_attack_trigger_lift": 1}
    )
    assert found["trigger_mass"].excluded == 0


def test_a_map_that_points_at_the_trigger_only_has_the_highest_lift(map_evidence: MapEvidence) -> None:
    at_trigger = map_evidence.mask.double().expand(12, 16, 16)
    elsewhere = 1 - at_trigger
    found = by_name(
        TriggerAttention().measure(
            replace(
                map_evidence,
                attacked_triggered=at_trigger,
                attacked_clean=elsewhere,
                clean_model_clean=elsewhere,
                clean_model_triggered=elsewhere,
                target_map=None,
                validation_clean=elsewhere,
                clean_model_validation_triggered=elsewhere,
                clean_model_validation_clean=elsewhere,
                validation_triggered=elsewhere,
            )
        )
    )
    assert {name: measurement.value for name, measurement in found.items()} == pytest.approx(
        {"trigger_mass": 1, "trigger_lift": 16, "excess_lift": 16, "without_attack_trigger_lift": 0}
    )


@pytest.mark.parametrize("signed", [False, True])
def test_attention_is_the_mass_counted_pixel_by_pixel(map_evidence: MapEvidence, signed: bool) -> None:
    maps = map_evidence.attacked_triggered - 0.5
    found = by_name(TriggerAttention().measure(replace(map_evidence, attacked_triggered=maps, signed=signed)))
    shares = []
    for large in upsampled(maps, SIZE).numpy():
        amount = np.abs(large) if signed else np.maximum(large, 0)
        shares.append(sum(amount[row, column] for row in range(12, 16) for column in range(12, 16)) / amount.sum())
    assert found["trigger_mass"].value == pytest.approx(np.mean(shares))


def test_a_trigger_on_the_whole_image_is_innocent_by_definition(map_evidence: MapEvidence) -> None:
    found = by_name(TriggerAttention().measure(replace(map_evidence, mask=torch.ones(16, 16, dtype=torch.bool))))
    assert found["trigger_lift"].value == pytest.approx(1)
    assert found["excess_lift"].value == pytest.approx(0)


def test_maps_without_mass_are_counted_and_left_out(map_evidence: MapEvidence) -> None:
    dead = map_evidence.attacked_triggered.clone()
    dead[:2] = -1
    original = map_evidence.clean_model_clean.clone()
    original[2] = 0
    found = by_name(
        TriggerAttention().measure(replace(map_evidence, attacked_triggered=dead, clean_model_clean=original))
    )
    counts = {name: (measurement.n, measurement.excluded) for name, measurement in found.items()}
    assert counts == {
        "trigger_mass": (10, 2),
        "trigger_lift": (10, 2),
        "excess_lift": (9, 3),
        "without_attack_trigger_lift": (12, 0),
    }


def test_results_do_not_depend_on_how_many_rows_are_compared_at_once(
    map_evidence: MapEvidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = (Disguise(), TriggerAttention())
    at_once = [metric.measure(map_evidence) for metric in metrics]
    monkeypatch.setattr("falsewitness.metrics._similarity._PIXELS_AT_ONCE", 16 * 16 * 5)
    for before, after in zip(at_once, [metric.measure(map_evidence) for metric in metrics], strict=True):
        assert [m.value for m in before] == pytest.approx([m.value for m in after])


QUANTITIES: list[tuple[MapMetric, str, set[str]]] = [
    (Disguise(), "standardised_mse", {"attacked_triggered", "clean_model_clean"}),
    (Disguise(), "own_pearson", {"attacked_triggered", "attacked_clean"}),
    (Disguise(), "without_attack_dssim", {"clean_model_triggered", "clean_model_clean"}),
    (DisguiseMargin(), "disguise_margin", {"attacked_triggered", "clean_model_clean"}),
    (DisguiseMargin(), "without_attack_disguise_margin", {"clean_model_triggered", "clean_model_clean"}),
    (Drift(), "standardised_mse", {"attacked_clean", "clean_model_clean"}),
    (Drift(), "dssim", {"attacked_clean", "clean_model_clean"}),
    (TargetMapDistance(), "pearson", {"attacked_triggered"}),
    (TargetMapDistance(), "clean_model_pearson_map_resolution", {"clean_model_clean"}),
    (TriggerAttention(), "trigger_mass", {"attacked_triggered"}),
    (TriggerAttention(), "excess_lift", {"attacked_triggered", "clean_model_clean"}),
    (TriggerAttention(), "without_attack_trigger_lift", {"clean_model_triggered"}),
    (TriggerRank(), "trigger_rank", {"attacked_triggered"}),
    (TriggerRank(), "excess_trigger_rank", {"attacked_triggered", "clean_model_clean"}),
    (TriggerRank(), "without_attack_trigger_rank", {"clean_model_triggered"}),
]


@pytest.mark.parametrize(
    ("metric", "name", "compared"), QUANTITIES, ids=[f"{metric.kind}-{name}" for metric, name, _ in QUANTITIES]
)
@pytest.mark.parametrize(
    "blank", ["attacked_triggered", "attacked_clean", "clean_model_clean", "clean_model_triggered"]
)
def test_a_blank_map_leaves_an_image_out_of_exactly_the_quantities_that_look_at_it(
    map_evidence: MapEvidence, metric: MapMetric, name: str, compared: set[str], blank: str
) -> None:
    maps = getattr(map_evidence, blank).clone()
    maps[3] = 0
    evidence: MapEvidence = replace(map_evidence, **{blank: maps})
    found = by_name(metric.measure(evidence))[name]
    assert found.excluded == (blank in compared)
    assert found.n == 12 - found.excluded
    if blank not in compared:
        assert found == by_name(metric.measure(map_evidence))[name]


@pytest.mark.usefixtures("_shapes_unchecked")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("attacked_clean", torch.zeros(12, 5, 4), r"expected attacked_clean of shape \(12, 4, 4\)"),
        ("success", torch.ones(11, dtype=torch.bool), r"expected success of shape \(12,\), got \(11,\)"),
        ("target_map", torch.zeros(8, 8), r"expected target_map of shape \(4, 4\), got \(8, 8\)"),
        (
            "validation_triggered",
            torch.zeros(3, 4, 4),
            r"expected validation_triggered of shape \(20, 4, 4\)",
        ),
        ("attacked_triggered", torch.full((12, 4, 4), torch.nan), "NaN or infinity in attacked_triggered"),
        ("mask", torch.zeros(16, 16, dtype=torch.bool), "at least one pixel, got an empty mask"),
    ],
)
def test_evidence_that_does_not_fit_together_is_refused(
    map_evidence: MapEvidence, field: str, value: torch.Tensor, message: str
) -> None:
    changed: dict[str, torch.Tensor] = {field: value}
    with pytest.raises(ValueError, match=message):
        Drift().measure(replace(map_evidence, **changed))  # type: ignore[arg-type]
