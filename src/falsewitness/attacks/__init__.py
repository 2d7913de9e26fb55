"""Attacks: what is poisoned, what is trained, and what a triggered image should get."""

from typing import Annotated

from falsewitness.attacks._base import Attack, Intended
from falsewitness.attacks._batch import Batch, Losses, LossFunction, LossTerm, NoReferences, References, plain_losses
from falsewitness.attacks._plan import Plan, Poison, plan_without_poison, units_of_plan
from falsewitness.attacks._shapes import draw_target_map, is_flat
from falsewitness.core import Catalogue

ATTACKS = Catalogue("attacks", Attack, __name__)
AnyAttack = Annotated[Attack, ATTACKS]

__all__ = [
    "ATTACKS",
    "AnyAttack",
    "Attack",
    "Batch",
    "Intended",
    "LossFunction",
    "LossTerm",
    "Losses",
    "NoReferences",
    "Plan",
    "Poison",
    "References",
    "draw_target_map",
    "is_flat",
    "plain_losses",
    "plan_without_poison",
    "units_of_plan",
]
