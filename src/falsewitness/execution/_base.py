"""What every executor is: a configuration that opens a pool of workers, which run calls and say how each ended."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from falsewitness.core import Component

Status = Literal["done", "raised", "timed out", "lost"]


@dataclass(frozen=True)
class Ended:
    """How one call ended.

    Attributes:
        key: What it was submitted under.
        status: ``done``, ``raised`` (by the function), ``timed out`` (over its limit, and killed) or ``lost`` (the
            worker died: its process or its machine).
        value: What the function returned; None where it did not.
        fault: One line that says what happened; empty where the call is done.
        seconds: How long it ran; counted from its submission where nobody saw it begin.
        worker: Where it ran, for people.
    """

    key: str
    status: Status
    value: Any = None
    fault: str = ""
    seconds: float = 0.0
    worker: str = ""


class Pool(ABC):
    """Open workers. Not to be shared by threads: whoever opened it submits and asks.

    Functions and arguments must be picklable, and the function's module importable by the workers. A pool has no thread
    of its own: it hands out what waits, and kills what is over its limit, while somebody is in :meth:`ended`.
    """

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many calls can run at once; it may change while the pool is open. What is submitted beyond waits."""

    def share(self, value: Any) -> Any:  # noqa: ANN401
        """Make a large value cheap to hand to many calls.

        Args:
            value: What to share; arrays may arrive read-only.

        Returns:
            What to give to :meth:`submit` as an argument of its own (not inside a list); the function gets the value.
        """
        return value

    @abstractmethod
    def submit(self, key: str, function: Callable[..., Any], *arguments: Any, limit: float | None = None) -> None:  # noqa: ANN401
        """Have a function called by a worker, as soon as one is free.

        Args:
            key: What the call is known by until it is reported as ended.
            function: What to call.
            *arguments: What to call it with.
            limit: How many seconds it may run, above 0; then it is killed. None: as long as it takes.

        Raises:
            ValueError: If a call of that key is still running.
        """

    @abstractmethod
    def ended(self, patience: float) -> list[Ended]:
        """Return what has ended since the last question, in the order of ending.

        Args:
            patience: How many seconds to wait for the first at most; it answers at once where nothing is running.
        """

    @abstractmethod
    def running(self) -> tuple[str, ...]:
        """Return the keys of all calls that are submitted and not yet reported as ended, in order of submission."""


class Executor(Component):
    """Where calls run.

    A new one overrides :meth:`open`. It knows nothing of what it runs.
    """

    shares_disk: ClassVar[bool]
    """Whether the workers see the files of the process that opens the pool."""

    @abstractmethod
    def open(self) -> AbstractContextManager[Pool]:
        """Start the workers; when the block ends they are stopped at once, whatever they run.

        Raises:
            InputError: If there is no such place to run anything, or less room than asked for.
        """
