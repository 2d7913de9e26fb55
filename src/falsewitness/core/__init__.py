"""The ground floor: what every room shares and nothing that belongs to one of them.

What works with tensors is imported from its own module (``targets``, ``explanation``, ``maps``, ``shapes``), so that
the report and the command line can use the rest without waiting for torch.
"""

from falsewitness.core.catalogue import Catalogue
from falsewitness.core.component import Component, PathLike, Strict, describe_fields
from falsewitness.core.errors import DivergedError, FalsewitnessError, Fault, InputError, RunFailedError, SpecError
from falsewitness.core.info import DataInfo
from falsewitness.core.seeds import seed_for
from falsewitness.core.threat import ThreatModel

__all__ = [
    "Catalogue",
    "Component",
    "DataInfo",
    "DivergedError",
    "FalsewitnessError",
    "Fault",
    "InputError",
    "PathLike",
    "RunFailedError",
    "SpecError",
    "Strict",
    "ThreatModel",
    "describe_fields",
    "seed_for",
]
