"""What can go wrong, by who can mend it: the input (exit code 2) or the run (exit code 1)."""

import errno
import os
import traceback
from collections.abc import Iterable, Sequence
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

    @property
    def in_a_line(self) -> str:
        """The same without line breaks, for a table or a log."""
        return " ".join(line.strip() for line in self.lines)


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

    def __reduce__(self) -> tuple[type["SpecError"], tuple[tuple[Fault, ...], str]]:
        """Be made again from the faults, not from the message, where it comes from another process."""
        return type(self), (self.faults, self._where)

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


def of_problems(problems: Sequence[str], where: str) -> InputError:
    """Return the error for one problem or more, told together.

    Args:
        problems: Each in words that need no other.
        where: What has them, for the heading above several.
    """
    if len(problems) == 1:
        return InputError(problems[0])
    return SpecError([Fault("", problem) for problem in problems], where)


def expect_text(path: str, where: str) -> None:
    """Expect a path that can be written down: in a manifest, on a page, or to a library that takes text alone.

    Args:
        path: As Python has it, what is no text escaped.
        where: What named it, for the error message.

    Raises:
        InputError: If it is not UTF-8.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InputError(f"{where}: expected names in UTF-8, got {os.fsencode(path)!r}; rename it") from None


def tells_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out: neither torch on a CPU nor the loader has a class for that."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return not names.isdisjoint(_NO_MEMORY_CLASSES) or any(words in str(error) for words in _NO_MEMORY_WORDS)


_NO_MEMORY_CLASSES = {"MemoryError", "OutOfMemoryError"}
_NO_MEMORY_WORDS = ("can't allocate memory", os.strerror(errno.ENOMEM), "failed to map segment")


def tells_of_room(error: BaseException) -> bool:
    """Tell whether an error means that a disk is full, or a file longer than is allowed."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def first_line(error: BaseException) -> str:
    """Return the first line of what somebody else's error says; the name of its class where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def with_its_class(error: BaseException) -> str:
    """Return the first line of what somebody else's error says, after its class: ``KeyError: 'a'``."""
    name = type(error).__name__
    return name if str(error).strip() == "" else f"{name}: {first_line(error)}"


def told_with_its_place(error: BaseException) -> str:
    """Return, in a line, what somebody else's code raised and where: ``KeyError: 'a' (/home/me/my_cam.py, line 7)``."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{with_its_class(error)} ({place.filename}, line {place.lineno})"
