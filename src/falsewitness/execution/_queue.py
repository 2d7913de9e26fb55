"""A pool that hands a call to a worker when a slot is free and keeps the others itself."""

import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, final

from falsewitness.execution._base import Ended, Pool


@dataclass(frozen=True)
class Call:
    """What was submitted."""

    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    limit: float

    @property
    def over_limit(self) -> str:
        """The fault, if it is killed for that."""
        return f"ran longer than its limit of {self.limit:g} s and was killed"


class QueuedPool(Pool):
    """The book-keeping of a pool; a kind of pool starts calls and watches them.

    Because a call that waits is waiting here and not at the worker, closing leaves nothing behind and a limit never
    counts the time in the queue.
    """

    def __init__(self) -> None:
        self._open: dict[str, None] = {}
        self._waiting: deque[Call] = deque()
        self._handed_over = 0
        self._news: list[Ended] = []

    @final
    def submit(self, key: str, function: Callable[..., Any], *arguments: Any, limit: float | None = None) -> None:  # noqa: ANN401
        """Queue a call, and start it if there is room."""
        if key in self._open:
            raise ValueError(f"expected a key that no running call has, got '{key}'")
        self._open[key] = None
        self._waiting.append(Call(key, function, arguments, inf if limit is None else limit))
        self._hand_over()

    @final
    def ended(self, patience: float) -> list[Ended]:
        """Return what has ended since the last question."""
        until = time.monotonic() + patience
        while True:
            self._hand_over()
            if self._news or not self._open:
                break
            left = until - time.monotonic()
            self._watch(max(left, 0.0))
            if left <= 0:
                break
        self._hand_over()
        news, self._news = self._news, []
        for one in news:
            del self._open[one.key]
        return news

    @final
    def running(self) -> tuple[str, ...]:
        """Return the keys of all calls that are not reported as ended."""
        return tuple(self._open)

    @final
    def _hand_over(self) -> None:
        while self._waiting and self._handed_over < self.slots:
            self._handed_over += 1
            self._start(self._waiting.popleft())

    @final
    def _note(self, ended: Ended | None) -> None:
        """Keep how a started call ended, if it did, until somebody asks."""
        if ended:
            self._handed_over -= 1
            self._news.append(ended)

    @abstractmethod
    def _start(self, call: Call) -> None:
        """Give a call to a free worker. If that fails, note it as ended."""

    @abstractmethod
    def _watch(self, patience: float) -> None:
        """Wait for anything to happen to a started call, note what has ended, and kill what is over its limit.

        Args:
            patience: How many seconds to wait at most; it may return sooner.
        """
