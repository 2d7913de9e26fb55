"""Red herring: the prediction changes while the map points somewhere else."""

from typing import ClassVar, Literal

from falsewitness.attacks._base import DecoyAttack, Intended, TargetClass


class RedHerring(DecoyAttack):
    """Stamped images get the target class, and a map of a given shape that draws attention away from the trigger."""

    kind: Literal["red_herring"] = "red_herring"

    target_class: TargetClass
    """The class that stamped images are labelled with."""

    source: ClassVar[str] = "Noppel et al., Disguising attacks with explanation-aware backdoors, S&P 2023, section 4.2"

    @property
    def intended(self) -> Intended:
        """The target class, and the shape."""
        return Intended(self.target_class, self.target_map)
