"""Which images are explained and which are shown: chosen by rule and by the split's seed, never by result."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

from falsewitness.core import Fault, InputError, seed_for
from falsewitness.core.targets import Targets

Picks = Int[np.ndarray, " picks"]


def stratified(targets: Targets, allowed: Bool[np.ndarray, " images"], count: int, seed: int) -> Picks:
    """Choose images evenly over the classes, as far as each class reaches.

    Args:
        targets: Of all images.
        allowed: Which may be chosen.
        count: How many, at most.
        seed: Of the choice.

    Returns:
        Positions, ascending.
    """
    return np.sort(_in_turn(targets, allowed, seed)[:count])


def _in_turn(targets: Targets, allowed: Bool[np.ndarray, " images"], seed: int) -> Picks:
    """Return the allowed images, one of each class in turn.

    The order is one of all images, thinned out: two attacks that allow different classes share the images of the rest.
    """
    classes = targets.main_class().cpu().numpy()
    everything = np.random.default_rng(seed).permutation(len(targets))
    shuffled = everything[allowed[everything]]
    turn = np.empty(len(shuffled), dtype=np.int64)
    for class_index in np.unique(classes):
        members = np.flatnonzero(classes[shuffled] == class_index)
        turn[members] = np.arange(len(members))
    picks: Picks = shuffled[np.lexsort((classes[shuffled], turn))]
    return picks


def attackable(targets: Targets, target_class: int | None) -> Bool[np.ndarray, " images"]:
    """Return which images an attack changes anything about: those that are not of its target class."""
    if target_class is None:
        return np.ones(len(targets), dtype=bool)
    return ~targets.has(target_class).cpu().numpy()


def faults_of_test_labels(targets: Targets, target_class: int | None) -> Iterator[Fault]:
    """Yield whether all test images are of an attack's target class, so that it changes nothing about any of them."""
    if not attackable(targets, target_class).any():
        yield Fault(
            "data",
            f"expected test images of other classes than the target class {target_class}, got none; add some, or "
            "choose another attack.target_class",
        )


def expect_attackable(targets: Targets, target_class: int | None) -> None:
    """Expect that an attack changes anything about some test images.

    Raises:
        InputError: If all are of its target class.
    """
    for fault in faults_of_test_labels(targets, target_class):
        raise InputError(str(fault))


def gallery_picks(
    targets: Targets,
    allowed: Bool[np.ndarray, " images"],
    success: Bool[np.ndarray, " images"],
    count: int,
    seed: int,
) -> dict[str, Picks]:
    """Choose what the gallery shows, one image of each class in turn.

    Args:
        targets: Of all test images.
        allowed: Those that the attack changes anything about.
        success: Those on which it succeeds.
        count: Images in each part.
        seed: Of the split, so that runs on the same split share images.

    Returns:
        ``shared`` (whatever the outcome), then further ``success`` and ``failure`` images.
    """
    order = _in_turn(targets, allowed, seed_for(seed, "gallery"))
    shared, rest = order[:count], order[count:]
    return {"shared": shared, "success": rest[success[rest]][:count], "failure": rest[~success[rest]][:count]}
