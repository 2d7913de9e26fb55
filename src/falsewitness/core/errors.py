"""What can go wrong, by who can mend it: the input (exit code 2) or the run (exit code 1)."""

from collections.abc import Iterable
from dataclasses import dataclass


class FalsewitnessError(Exception):
    """Base of every error that the command line answers with one line instead of a traceback."""

    exit_code = 1


class InputError(FalsewitnessError):
    """Something handed in is missing or wrong: says what, where, what was expected and what to do."""

    exit_code = 2


class RunFailedError(FalsewitnessError):
    """A run could not be finished, through no fault of its input."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a spec.

    Attributes:
        path: Where, as dotted keys (``attack.trigger.size``).
        message: What was expected and what was found.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class SpecError(InputError):
    """A spec with one or more faults, all named at once."""

    def __init__(self, faults: Iterable[Fault], where: str = "spec") -> None:
        self.faults = tuple(faults)
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__(f"{where} has {count}:\n{lines}")
