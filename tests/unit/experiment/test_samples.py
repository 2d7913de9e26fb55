"""Which images are explained and shown: properties of the rule."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from falsewitness.core import InputError
from falsewitness.core.targets import MultiTargets, SingleTargets
from falsewitness.experiment._samples import attackable, expect_attackable, gallery_picks, stratified

labels = st.lists(st.integers(0, 4), min_size=1, max_size=60)
seeds = st.integers(0, 50)


def single(classes: list[int]) -> SingleTargets:
    return SingleTargets(torch.tensor(classes, dtype=torch.long))


def some(data: st.DataObject, count: int) -> np.ndarray:
    return np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)


@given(labels, st.integers(0, 70), seeds, st.data())
def test_samples_are_allowed_ascending_and_as_many_as_there_are(
    classes: list[int], count: int, seed: int, data: st.DataObject
) -> None:
    allowed = some(data, len(classes))
    picked = stratified(single(classes), allowed, count, seed)
    assert len(picked) == min(count, allowed.sum())
    assert (np.diff(picked) > 0).all()
    assert allowed[picked].all()


@given(labels, st.integers(0, 70), seeds, st.data())
def test_samples_are_even_over_the_classes_as_far_as_each_reaches(
    classes: list[int], count: int, seed: int, data: st.DataObject
) -> None:
    allowed = some(data, len(classes))
    picked = stratified(single(classes), allowed, count, seed)
    found = Counter(classes[i] for i in picked)
    most = max(found.values(), default=0)
    available = Counter(label for label, is_allowed in zip(classes, allowed, strict=True) if is_allowed)
    assert all(found[label] >= min(available[label], most - 1) for label in available)


@given(labels, st.integers(0, 60), st.integers(0, 10), seeds)
def test_more_samples_hold_the_fewer(classes: list[int], count: int, more: int, seed: int) -> None:
    allowed = np.ones(len(classes), dtype=bool)
    fewer = stratified(single(classes), allowed, count, seed)
    assert set(fewer) <= set(stratified(single(classes), allowed, count + more, seed))


def test_the_seed_decides_which() -> None:
    targets, allowed = single([0, 1] * 50), np.ones(100, dtype=bool)
    first, again, other = (stratified(targets, allowed, 10, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


@given(labels, seeds, st.integers(0, 4), st.integers(0, 4))
def test_attacks_on_other_classes_share_the_order_of_the_rest(
    classes: list[int], seed: int, first: int, second: int
) -> None:
    targets = single(classes)
    none = np.zeros(len(classes), dtype=bool)
    orders = [
        list(gallery_picks(targets, attackable(targets, target), none, 100, seed)["shared"])
        for target in (first, second)
    ]
    common = set(orders[0]) & set(orders[1])
    assert [row for row in orders[0] if row in common] == [row for row in orders[1] if row in common]


@given(labels, st.integers(0, 4))
def test_an_attack_changes_nothing_about_images_of_its_target(classes: list[int], target: int) -> None:
    assert attackable(single(classes), target).tolist() == [label != target for label in classes]
    assert attackable(single(classes), None).all()


def test_an_image_of_several_classes_is_of_the_target_if_one_of_them_is() -> None:
    targets = MultiTargets(torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 0]]))
    assert attackable(targets, 2).tolist() == [False, True, True]


@given(labels, st.integers(1, 8), seeds, st.data())
def test_the_gallery_shows_shared_images_then_successes_and_failures(
    classes: list[int], count: int, seed: int, data: st.DataObject
) -> None:
    targets, allowed, success = single(classes), some(data, len(classes)), some(data, len(classes))
    picks = gallery_picks(targets, allowed, success, count, seed)
    shared, hits, misses = (picks[group].tolist() for group in ("shared", "success", "failure"))
    assert len(set(shared + hits + misses)) == len(shared + hits + misses)
    assert allowed[shared + hits + misses].all()
    assert success[hits].all()
    assert not success[misses].any()
    assert len(shared) == min(count, allowed.sum())
    rest = allowed.copy()
    rest[shared] = False
    assert len(hits) == min(count, (rest & success).sum())
    assert len(misses) == min(count, (rest & ~success).sum())


@given(labels, st.integers(1, 8), seeds, st.data())
def test_no_result_moves_the_shared_images(classes: list[int], count: int, seed: int, data: st.DataObject) -> None:
    targets, allowed = single(classes), some(data, len(classes))
    first, second = (
        gallery_picks(targets, allowed, some(data, len(classes)), count, seed)["shared"].tolist() for _ in range(2)
    )
    assert first == second


@given(labels, st.integers(1, 8), seeds)
def test_shared_images_take_one_of_each_class_in_turn(classes: list[int], count: int, seed: int) -> None:
    everything = np.ones(len(classes), dtype=bool)
    shared = gallery_picks(single(classes), everything, everything, count, seed)["shared"]
    first_turn = shared[: len(set(classes))]
    assert len({classes[row] for row in first_turn}) == len(first_turn)


def test_test_images_of_the_target_class_alone_are_refused() -> None:
    with pytest.raises(InputError, match="expected test images of other classes than the target class 2, got none"):
        expect_attackable(single([2, 2]), 2)
    expect_attackable(single([2, 1]), 2)
    expect_attackable(single([2, 2]), None)
