"""Which training images are poisoned: decided before training, a pure function of labels and seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from pydantic import Field

from falsewitness.core import DataInfo, Fault, InputError, seed_for
from falsewitness.core.component import Strict
from falsewitness.core.targets import Targets


class Poison(Strict):
    """How much is poisoned, and how."""

    rate: Annotated[float, Field(gt=0, le=1)]
    """Poison rate: stamped rows over training images left after the validation hold-out; one image at least."""

    mode: Literal["replace", "append", "paired"] = "replace"
    """``replace``: the originals leave. ``append``: stamped copies are added and shuffled among the rest. ``paired``:
    a step that carries a chosen image carries its stamped copy too, which takes the training loop."""

    classes: Literal["non_target", "all"] | Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = "non_target"
    """The true classes that poisons are drawn from; ``non_target`` is all but the target class."""

    stamp: Literal["after_augmentation", "stored"] = "after_augmentation"
    """``after_augmentation``: the attacker holds the training loop. ``stored``: the stamp is in the stored image and is
    augmented with it, as when only the data is in the attacker's hands."""

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if isinstance(self.classes, tuple):
            for wrong in (c for c in self.classes if not 0 <= c < info.num_classes):
                yield Fault("classes", f"expected classes from 0 to {info.num_classes - 1}, got {wrong}")
            for twice in (c for c, count in Counter(self.classes).items() if count > 1):
                yield Fault("classes", f"expected different classes, got {twice} more than once")


@dataclass(frozen=True)
class Plan:
    """What a pass over the training data consists of. A unit is an image that is drawn as a whole.

    Attributes:
        images: ``[units]``: the training image of each unit.
        clean: ``[units]``: whether the unit brings the image as it is, with its own label.
        stamped: ``[units]``: whether the unit brings the image with the trigger, with the attack's label.
    """

    images: Int[np.ndarray, " units"]
    clean: Bool[np.ndarray, " units"]
    stamped: Bool[np.ndarray, " units"]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def poisons(self) -> Int[np.ndarray, " poisons"]:
        """The training images that are stamped."""
        poisons: Int[np.ndarray, " poisons"] = self.images[self.stamped]
        return poisons

    def table(self) -> dict[str, NDArray[Any]]:
        """Return the plan as columns, to be saved."""
        return {"image": self.images, "clean": self.clean, "stamped": self.stamped}


def plan_without_poison(images: int) -> Plan:
    """Return the plan of a clean training: every image once, none stamped."""
    return Plan(np.arange(images), np.ones(images, dtype=bool), np.zeros(images, dtype=bool))


def units_of_plan(poison: Poison, images: int) -> int:
    """Return how many units :func:`draw_plan` lays out, without drawing one.

    Args:
        poison: How much, and how.
        images: Training images.
    """
    return images + _poison_count(poison, images) if poison.mode == "append" else images


def _poison_count(poison: Poison, images: int) -> int:
    return max(1, round(poison.rate * images))


def faults_of_rate(poison: Poison, targets: Targets, target_class: int | None) -> Iterator[Fault]:
    """Yield whether fewer images may be poisoned than shall be.

    Args:
        poison: How much, and how.
        targets: The true labels of the training images.
        target_class: The class that stamped images are trained on; None where they keep their label.
    """
    allowed = int(_candidates(poison, targets, target_class).sum())
    if _poison_count(poison, len(targets)) > allowed:
        highest = 1_000_000 * allowed // len(targets) / 1_000_000  # rounded down: what is named can be had
        yield Fault(
            "rate",
            f"expected at most {highest:g}, as {allowed} of {len(targets)} training images are of the "
            f"classes to poison, got {poison.rate}; lower the rate or widen attack.poison.classes",
        )


def draw_plan(
    poison: Poison,
    targets: Targets,
    target_class: int | None,
    *,
    seed: int,
    preferred: Sequence[int] | None = None,
) -> Plan:
    """Choose the poisons and lay out the units.

    Args:
        poison: How much, and how.
        targets: The true labels of the training images.
        target_class: The class that stamped images are trained on; None where they keep their label.
        seed: The experiment's seed; the plan has its own seed derived from it.
        preferred: A selection's record: training images, best poison first. None for a random choice.

    Raises:
        InputError: If there are fewer candidates than poisons asked for, in all or in the record.
    """
    for fault in faults_of_rate(poison, targets, target_class):
        raise InputError(f"attack.poison.{fault}")
    count = _poison_count(poison, len(targets))
    allowed = _candidates(poison, targets, target_class)
    generator = np.random.default_rng(seed_for(seed, "plan"))
    order = generator.permutation(len(targets)) if preferred is None else np.asarray(preferred)
    chosen = np.unique(order[allowed[order]][:count])
    if len(chosen) < count:
        raise InputError(
            f"expected a record of at least {count} different images of the classes to poison, got {len(chosen)}; "
            "lower attack.poison.rate or select from more images"
        )
    return _laid_out(poison.mode, len(targets), chosen)


def _candidates(poison: Poison, targets: Targets, target_class: int | None) -> Bool[np.ndarray, " images"]:
    if isinstance(poison.classes, tuple):
        of_any: Bool[np.ndarray, " images"] = np.any([targets.has(c).cpu().numpy() for c in poison.classes], axis=0)
        return of_any
    if poison.classes == "all" or target_class is None:
        return np.ones(len(targets), dtype=bool)
    return ~targets.has(target_class).cpu().numpy()


def _laid_out(mode: str, total: int, chosen: Int[np.ndarray, " poisons"]) -> Plan:
    images = np.arange(total)
    clean = np.ones(total, dtype=bool)
    stamped = np.isin(images, chosen)
    if mode == "replace":
        return Plan(images, ~stamped, stamped)
    if mode == "paired":
        return Plan(images, clean, stamped)
    added = np.ones(len(chosen), dtype=bool)
    return Plan(
        np.concatenate([images, chosen]),
        np.concatenate([clean, ~added]),
        np.concatenate([np.zeros(total, dtype=bool), added]),
    )
