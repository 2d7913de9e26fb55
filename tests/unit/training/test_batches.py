"""The batches of an epoch: what the plan says, once each, whoever asks and whenever."""

from collections import Counter
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.training.conftest import Painted

from falsewitness.attacks import Batch, Plan, Poison, plan_without_poison
from falsewitness.attacks._plan import draw_plan
from falsewitness.core import DataInfo
from falsewitness.data import PixelStore
from falsewitness.training import Augmentation, Batches
from falsewitness.triggers.patch import Patch

Mode = Literal["replace", "append", "paired"]

INFO = DataInfo(1, 8, 8, tuple("abcd"))
STAMP = Patch(size=2, corner="lower_right").bind(INFO)
TARGET = 2
MODES = ("replace", "append", "paired")
EVERYTHING = Augmentation(mirror=True, crop_padding=2)

keeps_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def poisoned(
    store: PixelStore,
    *,
    mode: Mode = "paired",
    rate: float = 0.3,
    batch_size: int = 5,
    seed: int = 0,
    augmentation: Augmentation = EVERYTHING,
    stamp_order: Literal["after_augmentation", "stored"] = "after_augmentation",
) -> Batches:
    plan = draw_plan(Poison(rate=rate, mode=mode), store.targets, TARGET, seed=seed)
    return Batches(store, plan, STAMP, stamp_order, TARGET, augmentation, batch_size, seed)


def clean(store: PixelStore, *, batch_size: int = 5, augmentation: Augmentation = EVERYTHING) -> Batches:
    plan = plan_without_poison(len(store))
    return Batches(store, plan, None, "after_augmentation", None, augmentation, batch_size, 0)


def clean_samples(batch: Batch) -> list[int]:
    return batch.samples[: batch.clean_count].tolist()


def stamped_samples(batch: Batch) -> list[int]:
    return batch.samples[batch.clean_count :].tolist()


def counted(plan: Plan, which: str) -> Counter[int]:
    return Counter(plan.images[getattr(plan, which)].tolist())


def same(first: Batch, second: Batch) -> bool:
    return (
        torch.equal(first.images, second.images)
        and torch.equal(first.targets.values, second.targets.values)
        and torch.equal(first.samples, second.samples)
        and torch.equal(first.mirrored, second.mirrored)
        and torch.equal(first.unstamped, second.unstamped)
    )


@keeps_fixtures
@given(st.sampled_from(MODES), st.integers(10, 40), st.integers(1, 50), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_brings_every_unit_of_the_plan_exactly_once(
    painted: Painted, mode: Mode, count: int, batch_size: int, seed: int, epoch: int
) -> None:
    batches = poisoned(painted(count), mode=mode, batch_size=batch_size, seed=seed)
    found = list(batches.epoch(epoch))
    assert Counter(row for batch in found for row in clean_samples(batch)) == counted(batches.plan, "clean")
    assert Counter(row for batch in found for row in stamped_samples(batch)) == counted(batches.plan, "stamped")


@keeps_fixtures
@given(st.integers(1, 40), st.integers(1, 50))
def test_units_are_spread_evenly_over_the_steps(painted: Painted, count: int, batch_size: int) -> None:
    batches = clean(painted(count), batch_size=batch_size)
    sizes = [len(batch.images) for batch in batches.epoch(0)]
    assert len(sizes) == batches.steps_per_epoch == -(-count // batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("mode", MODES)
def test_clean_rows_are_the_images_with_their_own_labels(painted: Painted, mode: Mode) -> None:
    store = painted(30)
    for batch in poisoned(store, mode=mode, augmentation=Augmentation()).epoch(0):
        rows = batch.clean_rows
        assert torch.equal(batch.images[rows], store.take(batch.samples[rows]))
        assert torch.equal(batch.targets.values[rows], store.targets.values[batch.samples[rows]])


@pytest.mark.parametrize("mode", MODES)
def test_stamped_rows_carry_the_trigger_and_the_target(painted: Painted, mode: Mode) -> None:
    store = painted(30)
    for batch in poisoned(store, mode=mode, augmentation=Augmentation()).epoch(0):
        rows = batch.stamped_rows
        expected = store.take(batch.samples[rows])
        assert torch.equal(batch.unstamped, expected)
        expected[:, :, 6:, 6:] = 1
        assert torch.equal(batch.images[rows], expected)
        assert batch.targets.values[rows].tolist() == [TARGET] * len(rows)


def test_stamped_rows_keep_their_label_where_the_attack_forces_no_class(painted: Painted) -> None:
    store = painted(30)
    batches = replace(poisoned(store), target_class=None)
    for batch in batches.epoch(0):
        assert torch.equal(batch.targets.values, store.targets.values[batch.samples])


def test_a_paired_image_comes_with_its_stamped_copy_varied_alike(painted: Painted) -> None:
    for batch in poisoned(painted(30), mode="paired", rate=0.5).epoch(0):
        partners = [clean_samples(batch).index(sample) for sample in stamped_samples(batch)]
        assert torch.equal(batch.unstamped, batch.images[partners])
        assert torch.equal(batch.mirrored[batch.stamped_rows], batch.mirrored[partners])


def test_a_replaced_image_does_not_come_clean(painted: Painted) -> None:
    found = list(poisoned(painted(30), mode="replace", rate=0.5).epoch(0))
    stamped = {row for batch in found for row in stamped_samples(batch)}
    assert len(stamped) == 15
    assert stamped.isdisjoint(row for batch in found for row in clean_samples(batch))


def test_after_augmentation_the_trigger_is_always_in_its_place(painted: Painted) -> None:
    for batch in poisoned(painted(40), rate=0.6, stamp_order="after_augmentation").epoch(0):
        assert torch.equal(batch.images[batch.stamped_rows], STAMP(batch.unstamped))


def test_a_stored_trigger_is_mirrored_with_its_image(painted: Painted) -> None:
    store = painted(40)
    batches = poisoned(store, rate=0.6, stamp_order="stored", augmentation=Augmentation(mirror=True))
    sides = set()
    for batch in batches.epoch(0):
        for row in batch.stamped_rows.tolist():
            stored = STAMP(store.take(batch.samples[row : row + 1]))[0]
            mirrored = bool(batch.mirrored[row])
            assert torch.equal(batch.images[row], stored.flip(2) if mirrored else stored)
            sides.add(mirrored)
    assert sides == {True, False}


def test_a_stored_trigger_is_shifted_with_its_image(painted: Painted) -> None:
    places = set()
    batches = poisoned(painted(40), rate=0.6, stamp_order="stored", augmentation=Augmentation(crop_padding=3))
    for batch in batches.epoch(0):
        for image, unstamped in zip(batch.images[batch.stamped_rows], batch.unstamped, strict=True):
            changed = (image != unstamped).nonzero()
            places.add(tuple(changed.amin(0).tolist()) if len(changed) else None)
            assert (image[image != unstamped] == 1).all()
    assert len(places) > 5


def test_the_stored_trigger_leaves_the_reference_image_alone(painted: Painted) -> None:
    stored, after = (
        list(poisoned(painted(40), stamp_order=order).epoch(0)) for order in ("stored", "after_augmentation")
    )
    for first, second in zip(stored, after, strict=True):
        assert torch.equal(first.unstamped, second.unstamped)


def test_an_epoch_is_the_same_whenever_it_is_begun(painted: Painted) -> None:
    batches = poisoned(painted(30))
    next(batches.epoch(0))
    first = list(batches.epoch(1))
    torch.manual_seed(9)
    assert all(same(a, b) for a, b in zip(first, batches.epoch(1), strict=True))


def test_epochs_and_seeds_differ_in_order_and_in_augmentation(painted: Painted) -> None:
    store = painted(30)
    whole = [next(clean_of.epoch(epoch)) for clean_of, epoch in _three_epochs(store)]
    for batch in whole:
        batch_order = batch.samples.argsort()
        assert batch.samples[batch_order].tolist() == list(range(30))
    orders = {tuple(batch.samples.tolist()) for batch in whole}
    mirrored = {tuple(batch.mirrored[batch.samples.argsort()].tolist()) for batch in whole}
    assert len(orders) == len(mirrored) == 3


def _three_epochs(store: PixelStore) -> list[tuple[Batches, int]]:
    batches = clean(store, batch_size=30)
    return [(batches, 0), (batches, 1), (replace(batches, seed=1), 0)]


def test_augmentation_does_not_move_the_order(painted: Painted) -> None:
    store = painted(30)
    plain, varied = (clean(store, augmentation=augmentation).epoch(0) for augmentation in (Augmentation(), EVERYTHING))
    for first, second in zip(plain, varied, strict=True):
        assert torch.equal(first.samples, second.samples)


@keeps_fixtures
@given(st.integers(1, 4), st.sampled_from(MODES))
def test_the_processes_of_a_group_divide_every_batch(painted: Painted, world: int, mode: Mode) -> None:
    batches = poisoned(painted(40), mode=mode, batch_size=8)
    parts = zip(*(batches.epoch(2, share=(rank, world)) for rank in range(world)), strict=True)
    for whole, shares in zip(batches.epoch(2), parts, strict=True):
        rows = {(int(s), i < whole.clean_count): whole.images[i] for i, s in enumerate(whole.samples)}
        found = [
            (int(s), i < share.clean_count, share.images[i]) for share in shares for i, s in enumerate(share.samples)
        ]
        assert sorted(key for *key, _ in found) == sorted([list(key) for key in rows])
        assert all(torch.equal(image, rows[sample, is_clean]) for sample, is_clean, image in found)
        assert max(len(share.images) for share in shares) <= -(-len(whole.images) // world) + 1


def test_the_plan_of_a_poisoning_that_reaches_no_batch_leaves_it_whole(painted: Painted) -> None:
    store = painted(12)
    stamped = np.zeros(12, dtype=bool)
    stamped[3] = True
    batches = replace(poisoned(store, batch_size=4), plan=Plan(np.arange(12), ~stamped, stamped))
    found = list(batches.epoch(0))
    assert sorted(len(batch.unstamped) for batch in found) == [0, 0, 1]
    for batch in found:
        own = store.targets.values[batch.samples[: batch.clean_count]]
        assert torch.equal(batch.targets.values[: batch.clean_count], own)
        assert len(batch.images) == len(batch.samples) == len(batch.targets) == 4
