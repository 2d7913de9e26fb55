"""Labels, against their definitions written out for one row after another in float64."""

import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from falsewitness.core.targets import MultiTargets, SingleTargets, Targets

CLASSES = 4


def logits_for(targets: Targets, seed: int = 0) -> Tensor:
    return 3 * torch.randn(len(targets), CLASSES, generator=torch.Generator().manual_seed(seed))


single = st.lists(st.integers(0, CLASSES - 1), max_size=6).map(
    lambda classes: SingleTargets(torch.tensor(classes, dtype=torch.long))
)
multi = st.lists(st.lists(st.booleans(), min_size=CLASSES, max_size=CLASSES), max_size=6).map(
    lambda rows: MultiTargets(torch.tensor(rows, dtype=torch.float32).reshape(-1, CLASSES))
)
either = st.one_of(single, multi)


def labels_of(targets: Targets) -> list[set[int]]:
    if isinstance(targets, SingleTargets):
        return [{int(label)} for label in targets.classes]
    return [{i for i, hot in enumerate(row) if hot} for row in targets.values.tolist()]


@given(single, st.integers(0, 99))
def test_the_loss_of_one_class_is_its_negative_log_probability(targets: SingleTargets, seed: int) -> None:
    logits = logits_for(targets, seed)
    expected = [
        math.log(sum(math.exp(z) for z in row)) - row[label]
        for row, label in zip(logits.double().tolist(), targets.classes.tolist(), strict=True)
    ]
    assert targets.loss(logits).tolist() == pytest.approx(expected, abs=1e-5)


@given(multi, st.integers(0, 99))
def test_the_loss_of_several_classes_is_their_mean_binary_cross_entropy(targets: MultiTargets, seed: int) -> None:
    logits = logits_for(targets, seed)
    expected = []
    for row, labels in zip(logits.double().tolist(), labels_of(targets), strict=True):
        shares = [1 / (1 + math.exp(-z)) for z in row]
        terms = [-math.log(share if i in labels else 1 - share) for i, share in enumerate(shares)]
        expected.append(sum(terms) / CLASSES)
    assert targets.loss(logits).tolist() == pytest.approx(expected, abs=1e-5)


@given(either)
def test_the_loss_of_half_precision_is_computed_in_single(targets: Targets) -> None:
    logits = logits_for(targets).bfloat16()
    assert targets.loss(logits).dtype == torch.float32
    assert torch.equal(targets.loss(logits), targets.loss(logits.float()))


@given(either, st.integers(0, CLASSES - 1))
def test_a_class_is_among_the_labels_or_not(targets: Targets, class_index: int) -> None:
    assert targets.has(class_index).tolist() == [class_index in labels for labels in labels_of(targets)]


@given(either, st.integers(0, CLASSES - 1))
def test_relabelled_rows_have_the_one_class_and_no_other(targets: Targets, class_index: int) -> None:
    before = labels_of(targets)
    relabelled = targets.relabelled(class_index)
    assert type(relabelled) is type(targets)
    assert labels_of(relabelled) == [{class_index}] * len(targets)
    assert labels_of(targets) == before


@given(either)
def test_the_main_class_is_the_first_label(targets: Targets) -> None:
    assert targets.main_class().tolist() == [min(labels, default=0) for labels in labels_of(targets)]


@given(single, st.integers(0, 99))
def test_a_prediction_of_one_class_is_right_where_its_logit_is_highest(targets: SingleTargets, seed: int) -> None:
    logits = logits_for(targets, seed)
    best = [{row.index(max(row))} for row in logits.tolist()]
    assert targets.correct(logits).tolist() == [p == q for p, q in zip(best, labels_of(targets), strict=True)]


@given(multi, st.integers(0, 99))
def test_a_prediction_of_several_classes_is_right_where_all_are(targets: MultiTargets, seed: int) -> None:
    logits = logits_for(targets, seed)
    positive = [{i for i, z in enumerate(row) if z > 0} for row in logits.tolist()]
    assert targets.correct(logits).tolist() == [p == q for p, q in zip(positive, labels_of(targets), strict=True)]


def test_several_classes_can_be_right() -> None:
    targets = MultiTargets(torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 0]]))
    logits = torch.tensor([[2.0, -1, 3], [-1, -1, -1], [1, -1, -1]])
    assert targets.correct(logits).tolist() == [True, True, False]


@given(either, st.data())
def test_some_rows_are_selected_by_position_or_by_mask(targets: Targets, data: st.DataObject) -> None:
    labels = labels_of(targets)
    positions = data.draw(st.lists(st.integers(0, len(targets) - 1), max_size=5)) if labels else []
    chosen = targets.select(torch.tensor(positions, dtype=torch.long))
    assert labels_of(chosen) == [labels[i] for i in positions]
    mask = data.draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels)))
    kept = targets.select(torch.tensor(mask, dtype=torch.bool))
    assert labels_of(kept) == [row for row, keep in zip(labels, mask, strict=True) if keep]


@given(single, single)
def test_joined_targets_follow_one_another(first: SingleTargets, second: SingleTargets) -> None:
    assert labels_of(first.joined(second)) == labels_of(first) + labels_of(second)


@given(multi, multi)
def test_joined_multi_targets_follow_one_another(first: MultiTargets, second: MultiTargets) -> None:
    assert labels_of(first.joined(second)) == labels_of(first) + labels_of(second)


@given(either)
def test_their_number_is_that_of_the_images(targets: Targets) -> None:
    assert len(targets) == len(targets.values) == len(labels_of(targets))


@pytest.mark.parametrize("targets", [SingleTargets(torch.tensor([1, 0])), MultiTargets(torch.eye(2))])
def test_they_move_to_a_device_and_stay_what_they_are(targets: Targets) -> None:
    moved = targets.to(torch.device("meta"))
    assert type(moved) is type(targets)
    assert moved.values.device.type == "meta"
    assert targets.values.device.type == "cpu"


def test_they_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SingleTargets(torch.tensor([1])).classes = torch.tensor([2])  # type: ignore[misc]
