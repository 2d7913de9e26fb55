"""Triggers: what is stamped on an image to wake a backdoor. They see raw pixels and know their own mask."""

from typing import Annotated

from falsewitness.core import Catalogue
from falsewitness.triggers._base import Stamp, Trigger

TRIGGERS = Catalogue("triggers", Trigger, __name__)
AnyTrigger = Annotated[Trigger, TRIGGERS]

__all__ = ["TRIGGERS", "AnyTrigger", "Stamp", "Trigger"]
