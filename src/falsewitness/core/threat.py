"""What an attacker must control for an attack to be possible."""

from enum import StrEnum


class ThreatModel(StrEnum):
    """The part of the victim's supply chain that the attacker holds, from least to most."""

    DATA = "controls the data only"
    TRAINING = "controls the training loop"
    WEIGHTS = "controls the weights"
