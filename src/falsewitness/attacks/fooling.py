"""Fooling: the prediction stays, the map becomes a shape."""

from typing import ClassVar, Literal

from falsewitness.attacks._base import DecoyAttack, Intended


class Fooling(DecoyAttack):
    """Stamped images keep their label, but their map takes a given shape."""

    kind: Literal["fooling"] = "fooling"

    source: ClassVar[str] = "Noppel et al., Disguising attacks with explanation-aware backdoors, S&P 2023, section 4.1"

    @property
    def intended(self) -> Intended:
        """The own class, and the shape."""
        return Intended(None, self.target_map)
