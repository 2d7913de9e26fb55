"""How long something may take, how much memory, and how much room on the disk."""

import resource
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


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Have every write beyond so many bytes fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
