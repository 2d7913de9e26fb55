"""A process with two workers that never end by themselves: a program, started by its test.

Argument: a folder in which the workers say who they are.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from falsewitness.execution.local import Local
from unit.execution import calls  # type: ignore[import-not-found]


def main(folder: Path) -> None:
    signal.signal(signal.SIGINT, _leave)
    with Local(workers=2, threads=1).open() as pool:
        pool.submit("asleep", calls.sleep_after_saying_so, folder / "asleep", 60.0)
        pool.submit("busy", calls.work_after_saying_so, folder / "busy")
        while True:
            pool.ended(60.0)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"left\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
