"""How long something may take, and how much memory."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FORGET_THE_PEAK = Path("/proc/self/clear_refs")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where something waits for ever, as a reader of a pipe would."""

    def late(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def little_memory(megabytes: float) -> Iterator[None]:
    """Fail where much more memory is taken than before, if only for a moment; only Linux tells."""
    if not _FORGET_THE_PEAK.exists():
        yield
        return
    _FORGET_THE_PEAK.write_text("5")
    before = _peak_megabytes()
    yield
    assert _peak_megabytes() - before < megabytes


def _peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
