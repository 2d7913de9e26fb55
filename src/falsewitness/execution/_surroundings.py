"""What a process that starts inherits: variables and blocked signals, changed for the moment of starting it."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a block: libraries read them once, when they are loaded."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Keep interrupts from what starts in a block: a process prints a traceback until it comes to ignoring them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def thread_environment(threads: int) -> dict[str, str]:
    """Return what the environment must say before a numerical library is loaded, for it to use so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    # MKL would use no more than there are physical cores; torch.set_num_threads switches that off, too.
    return {**dict.fromkeys(names, str(threads)), "MKL_DYNAMIC": "FALSE"}
