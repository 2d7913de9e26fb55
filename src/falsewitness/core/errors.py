"""What can go wrong, by who can mend it: the input (exit code 2) or the run (exit code 1)."""

import traceback
from collections.abc import Iterable
from dataclasses import dataclass

MOST_FAULTS_SHOWN = 20
"""A spec with a thousand faults has one cause, and a terminal that scrolls does not show it."""


def one_line(text: str) -> str:
    """Make line breaks and other control characters visible: names and values in a message come from anywhere."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class FalsewitnessError(Exception):
    """Base of every error that the command line answers with one line instead of a traceback."""

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """What to tell the user: a line, or a heading and a line a fault."""
        return (one_line(str(self)),)


class InputError(FalsewitnessError):
    """Something handed in is missing or wrong: says what, where, what was expected and what to do."""

    exit_code = 2


class RunFailedError(FalsewitnessError):
    """A run could not be finished, through no fault of its input."""


class DivergedError(RunFailedError):
    """A training's loss or weights left the finite numbers."""


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
        return one_line(f"{self.path}: {self.message}" if self.path else self.message)


class SpecError(InputError):
    """A spec with one or more faults, all named at once."""

    def __init__(self, faults: Iterable[Fault], where: str = "spec") -> None:
        self.faults = tuple(dict.fromkeys(faults))
        self._where = where
        super().__init__("\n".join(self.lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """A heading and a line a fault; of very many, only the first."""
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        left = len(self.faults) - MOST_FAULTS_SHOWN
        return (
            one_line(f"{self._where} has {count}:"),
            *(f"  {fault}" for fault in self.faults[:MOST_FAULTS_SHOWN]),
            *([f"  ... and {left} more"] if left > 0 else []),
        )


def told_with_its_place(error: BaseException) -> str:
    """Return, in a line, what somebody else's code raised and where: ``KeyError: 'a' (my_cam.py, line 7)``."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    reason = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {reason} ({place.filename}, line {place.lineno})"
