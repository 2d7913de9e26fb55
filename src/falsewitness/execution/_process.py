"""The process of a local worker, seen from the one that starts it."""

import pickle
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from multiprocessing import get_context, resource_tracker
from typing import Any

from falsewitness.execution import _surroundings as surroundings
from falsewitness.execution._base import Ended, Status
from falsewitness.execution._queue import Call
from falsewitness.execution._reply import Reply, raised, unpacked
from falsewitness.execution._serve import READY, serve

_FRESH = get_context("spawn")
_STARTS_WITHIN = 300.0
"""How many seconds a process may take until it can take a call: Python may come over a slow network."""

_LAST_BREATH = 1.0
"""How many seconds may pass between a process closing its pipe and its end."""


class WorkerProcess:
    """One process that runs one call at a time and stays for the next.

    It has a pipe of its own, so that its death, at whatever moment, is nobody else's concern.

    Attributes:
        call: What it runs, or will run as soon as it is ready; None where it is free.
    """

    def __init__(self, threads: int, environment: Mapping[str, str]) -> None:
        """Start a process.

        Args:
            threads: How many threads torch uses in it.
            environment: Variables that it starts with besides those of this process.
        """
        self.call: Call | None = None
        self._pipe, other_end = _FRESH.Pipe()
        self._process = _FRESH.Process(target=serve, args=(other_end, threads))
        # It would let interrupts through to all that starts after it.
        resource_tracker.ensure_running()
        with surroundings.environment(environment), surroundings.without_interrupts():
            self._process.start()
        other_end.close()  # so that the pipe ends when the process does
        self._name = f"process {self._process.pid}"
        self._is_ready = False
        self._began = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it can take a call."""
        return self._process.is_alive()

    @property
    def signs(self) -> tuple[Any, ...]:
        """What ``multiprocessing.connection.wait`` returns some of when there is something to hear."""
        return self._pipe, self._process.sentinel

    @property
    def deadline(self) -> float:
        """When its call is over its limit, which does not count the start of the process; that has its own."""
        if self.call is None:
            return inf
        return self._began + (self.call.limit if self._is_ready else _STARTS_WITHIN)

    def take(self, call: Call) -> Ended | None:
        """Run a call; one that cannot be sent has ended at once."""
        self.call = call
        self._began = time.monotonic()
        # What is sent to a process that does not read yet may fill the pipe, and hold everybody up.
        return self._send(call) if self._is_ready else None

    def hear(self) -> Ended | None:
        """Listen to a sign; returns how the call ended, if it did."""
        call = self.call
        if call is None:
            return None
        try:
            content = self._pipe.recv_bytes() if self._pipe.poll() else None
        except (EOFError, OSError):
            content = None
        if content is None:
            how = self._buried()
            return self._killed(call, "lost", f"{self._name} {how}{'' if self._is_ready else ' while it started'}")
        if content == READY:
            self._is_ready = True
            return self._send(call)
        return self._answered(call, unpacked(content))

    def overdue(self) -> Ended | None:
        """Kill the process if its call is over its limit, or its start; returns how the call ended, if it did."""
        call = self.call
        if call is None or time.monotonic() < self.deadline:
            return None
        self.kill()
        if not self._is_ready:
            return self._killed(call, "lost", f"{self._name} did not start within {_STARTS_WITHIN:g} s")
        return self._killed(call, "timed out", call.over_limit)

    def kill(self) -> None:
        """End the process, whatever it runs."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _send(self, call: Call) -> Ended | None:
        try:
            content = pickle.dumps((call.function, call.arguments))
        except Exception as error:  # noqa: BLE001 - what is pickled may raise anything
            return self._answered(call, raised(error))
        self._began = time.monotonic()
        with suppress(OSError):  # if it has died meanwhile, the next sign says so
            self._pipe.send_bytes(content)
        return None

    def _answered(self, call: Call, reply: Reply) -> Ended:
        self.call = None
        return Ended(call.key, reply.status, reply.value, reply.fault, reply.seconds, self._name)

    def _killed(self, call: Call, status: Status, fault: str) -> Ended:
        self.call = None
        return Ended(call.key, status, fault=fault, seconds=time.monotonic() - self._began, worker=self._name)

    def _buried(self) -> str:
        """See a dying process to its end and return what it died of."""
        self._process.join(_LAST_BREATH)
        self.kill()
        code = self._process.exitcode or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
