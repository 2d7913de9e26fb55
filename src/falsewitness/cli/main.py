"""The program ``falsewitness``: it answers an interrupt from its first moment on."""

import os
import signal
import sys
from types import FrameType

_ENDED_BY = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_SHOW_CURSOR = b"\r\x1b[K\x1b[?25h"


def entry() -> None:
    """Run the command line; every known fault ends in one line on standard error and its exit code.

    When the process is interrupted or terminated it ends at once: what is finished is whole at every moment. Not by an
    exception, which is printed or gets lost where it is raised while a library is imported or an object torn down.
    """
    for number in _ENDED_BY:
        # A shell has its background jobs ignore the interrupt that is meant for the one in front.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    _replace_closed_streams()
    from falsewitness.cli._app import answer

    sys.exit(answer())


def _replace_closed_streams() -> None:
    """Open what was closed by the caller (``>&-``), or the next file that is opened would get its number and output."""
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: PTH123, SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115


def _leave(number: int, frame: FrameType | None) -> None:
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # another thread draws the progress bar
    if os.isatty(output):
        os.write(output, _SHOW_CURSOR)  # which the bar hides
    ended = _ENDED_BY[signal.Signals(number)]
    os.write(2, f"falsewitness: {ended}; run the same command again to go on from what is finished\n".encode())
    os._exit(128 + number)
