import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from falsewitness.attacks import Attack, Plan, Poison, plan_without_poison, units_of_plan
from falsewitness.attacks.badnets import BadNets
from falsewitness.attacks.fooling import Fooling
from falsewitness.core import DataInfo, InputError, SpecError
from falsewitness.core.targets import MultiTargets, SingleTargets

NUM_CLASSES = 4


def badnets(target_class: int = 3, **poison: object) -> Attack:
    raw = {"trigger": {"kind": "patch"}, "poison": {"rate": 0.1, **poison}, "target_class": target_class}
    return BadNets.parse(raw, "attack")


def fooling(**poison: object) -> Attack:
    raw = {"trigger": {"kind": "patch"}, "poison": {"rate": 0.1, **poison}, "surrogate": {"kind": "gradcam"}}
    return Fooling.parse(raw, "attack")


@dataclass(frozen=True)
class Case:
    """A plan that can be made: labels, the target class, what is asked for."""

    labels: tuple[int, ...]
    target_class: int
    rate: float
    mode: str
    seed: int

    @property
    def targets(self) -> SingleTargets:
        return SingleTargets(torch.tensor(self.labels))

    @property
    def count(self) -> int:
        """Stamped rows over training images, at least one."""
        return max(1, round(self.rate * len(self.labels)))

    @property
    def attack(self) -> Attack:
        return badnets(self.target_class, rate=self.rate, mode=self.mode)

    @property
    def poison(self) -> Poison:
        return self.attack.poison

    def plan(self) -> Plan:
        return self.attack.plan(self.targets, seed=self.seed)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    labels = tuple(draw(st.lists(st.integers(0, NUM_CLASSES - 1), min_size=1, max_size=60)))
    case = Case(
        labels,
        draw(st.integers(0, NUM_CLASSES - 1)),
        draw(st.floats(0.001, 1)),
        draw(st.sampled_from(["replace", "append", "paired"])),
        draw(st.integers(0, 2**40)),
    )
    assume(case.count <= sum(label != case.target_class for label in labels))
    return case


def columns(plan: Plan) -> list[list[Any]]:
    return [column.tolist() for column in plan.table().values()]


@given(cases())
def test_as_many_images_are_poisoned_as_the_rate_says_and_each_once(case: Case) -> None:
    poisons = case.plan().poisons
    assert len(poisons) == case.count
    assert len(np.unique(poisons)) == case.count


@given(cases())
def test_the_units_of_a_plan_are_counted_without_drawing_it(case: Case) -> None:
    assert units_of_plan(case.poison, len(case.labels)) == len(case.plan())


@pytest.mark.parametrize("mode", ["replace", "append", "paired"])
def test_the_units_of_a_plan_are_counted_right_where_a_rate_falls_between_two_counts(mode: str) -> None:
    targets = SingleTargets(torch.zeros(150, dtype=torch.long))
    for rate in np.linspace(0.001, 1, 400):
        attack = badnets(rate=float(rate), mode=mode)
        assert units_of_plan(attack.poison, 150) == len(attack.plan(targets, seed=0))


@given(cases())
def test_no_image_of_the_target_class_is_poisoned(case: Case) -> None:
    assert all(case.labels[image] != case.target_class for image in case.plan().poisons)


@given(cases())
def test_replaced_images_leave(case: Case) -> None:
    plan = badnets(case.target_class, rate=case.rate, mode="replace").plan(case.targets, seed=case.seed)
    assert plan.images.tolist() == list(range(len(case.labels)))
    assert np.array_equal(plan.clean, ~plan.stamped)


@given(cases())
def test_paired_images_come_clean_and_stamped_in_one_unit(case: Case) -> None:
    plan = badnets(case.target_class, rate=case.rate, mode="paired").plan(case.targets, seed=case.seed)
    assert plan.images.tolist() == list(range(len(case.labels)))
    assert plan.clean.all()
    assert plan.stamped.sum() == case.count


@given(cases())
def test_appended_copies_are_units_of_their_own_and_all_originals_stay(case: Case) -> None:
    plan = badnets(case.target_class, rate=case.rate, mode="append").plan(case.targets, seed=case.seed)
    total = len(case.labels)
    assert len(plan) == total + case.count
    assert plan.images[plan.clean].tolist() == list(range(total))
    assert np.array_equal(plan.clean, ~plan.stamped)
    assert (plan.images < total).all()


@given(cases())
def test_the_mode_does_not_move_the_choice(case: Case) -> None:
    chosen = [
        badnets(case.target_class, rate=case.rate, mode=mode).plan(case.targets, seed=case.seed).poisons.tolist()
        for mode in ("replace", "append", "paired")
    ]
    assert chosen[0] == chosen[1] == chosen[2]


@given(cases())
def test_a_plan_follows_from_labels_and_seed_alone(case: Case) -> None:
    first = case.plan()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        again = case.plan()
    assert columns(first) == columns(again)


def test_seeds_choose_differently_and_every_candidate_is_chosen_at_times() -> None:
    targets = SingleTargets(torch.arange(40) % NUM_CLASSES)
    choices = [set(badnets().plan(targets, seed=seed).poisons.tolist()) for seed in range(60)]
    assert len({frozenset(chosen) for chosen in choices}) > 50
    assert set().union(*choices) == {image for image in range(40) if image % NUM_CLASSES != 3}


def test_a_rate_near_zero_still_poisons_one_image() -> None:
    assert len(badnets(rate=1e-9).plan(SingleTargets(torch.arange(40) % NUM_CLASSES), seed=0).poisons) == 1


def test_an_attack_that_keeps_labels_poisons_images_of_all_classes() -> None:
    targets = SingleTargets(torch.arange(40) % NUM_CLASSES)
    assert len(fooling(rate=1.0).plan(targets, seed=0).poisons) == 40


@pytest.mark.parametrize(
    ("classes", "candidates"), [("non_target", 30), ("all", 40), ((0,), 10), ((0, 3), 20), ([1, 2, 1], 20)]
)
def test_poisons_come_from_the_classes_asked_for_and_from_all_of_them(classes: object, candidates: int) -> None:
    targets = SingleTargets(torch.arange(40) % NUM_CLASSES)
    plan = badnets(rate=candidates / 40, classes=classes).plan(targets, seed=0)
    allowed = {"non_target": (0, 1, 2), "all": (0, 1, 2, 3)}.get(str(classes), classes)
    expected = [image for image in range(40) if image % NUM_CLASSES in allowed]  # type: ignore[operator]
    assert plan.poisons.tolist() == expected
    with pytest.raises(InputError) if candidates < 40 else pytest.raises(SpecError):
        badnets(rate=(candidates + 1) / 40, classes=classes).plan(targets, seed=0)


def test_an_image_with_several_labels_is_of_each_of_its_classes() -> None:
    hot = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])
    assert badnets(rate=0.75).plan(MultiTargets(hot), seed=0).poisons.tolist() == [1, 2, 3]
    assert badnets(rate=0.5, classes=(0, 2)).plan(MultiTargets(hot), seed=0).poisons.tolist() == [0, 2]


def test_a_rate_that_the_data_cannot_give_says_how_far_it_can_go() -> None:
    targets = SingleTargets(torch.tensor([3] * 6 + [0, 1]))
    with pytest.raises(
        InputError,
        match=r"attack\.poison\.rate: expected at most 0\.25, as 2 of 8 training images are of the classes to poison, "
        r"got 0\.5; lower the rate or widen attack\.poison\.classes",
    ):
        badnets(rate=0.5).plan(targets, seed=0)
    assert badnets(rate=0.25).plan(targets, seed=0).poisons.tolist() == [6, 7]


@pytest.mark.parametrize("images", [7, 1797, 54_000, 60_000])
@pytest.mark.parametrize("candidates", [1, 5])
def test_the_highest_rate_that_is_named_can_be_had(images: int, candidates: int) -> None:
    labels = torch.full((images,), 3)
    labels[: images * candidates // 6] = 0
    allowed = int((labels == 0).sum())
    with pytest.raises(InputError, match=f"{allowed} of {images} training images") as refused:
        badnets(rate=0.99).plan(SingleTargets(labels), seed=0)
    told = re.search(r"expected at most ([\d.]+),", str(refused.value))
    assert told is not None
    assert len(badnets(rate=float(told[1])).plan(SingleTargets(labels), seed=0).poisons) == allowed


@given(cases(), st.randoms(use_true_random=False))
def test_a_record_s_best_candidates_are_poisoned(case: Case, random: Any) -> None:  # noqa: ANN401
    record = random.sample(range(len(case.labels)), len(case.labels))
    attack = badnets(case.target_class, rate=case.rate, mode=case.mode)
    best = [image for image in record if case.labels[image] != case.target_class][: case.count]
    for seed in (0, 1):
        assert attack.plan(case.targets, seed=seed, preferred=record).poisons.tolist() == sorted(best)


@pytest.mark.parametrize("record", [[0, 1], [0, 3, 1, 7], [0, 0, 1]])
def test_a_record_with_too_few_candidates_is_refused(record: list[int]) -> None:
    targets = SingleTargets(torch.arange(40) % NUM_CLASSES)
    with pytest.raises(InputError, match=r"expected a record of at least 3 different images .*, got 2; lower"):
        badnets(rate=3 / 40).plan(targets, seed=0, preferred=record)


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.01])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(SpecError, match=r"poison\.rate: expected a value (>|<=)"):
        badnets(rate=rate)


def test_classes_that_the_data_does_not_have_are_faults() -> None:
    info = DataInfo(3, 32, 32, ("one", "two", "three", "four"))
    assert badnets(classes=(0, 3)).check(info) == []
    faults = badnets(classes=(0, 4, -1)).check(info)
    assert [str(fault) for fault in faults] == [
        "poison.classes: expected classes from 0 to 3, got 4",
        "poison.classes: expected classes from 0 to 3, got -1",
    ]
    with pytest.raises(SpecError, match="classes"):
        badnets(classes=())


def test_a_clean_training_sees_every_image_once() -> None:
    plan = plan_without_poison(5)
    assert columns(plan) == [[0, 1, 2, 3, 4], [True] * 5, [False] * 5]
    assert len(plan) == 5
    assert len(plan.poisons) == 0
