"""Faults of code from elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from falsewitness.core import FalsewitnessError, RunFailedError
from falsewitness.core.errors import tells_of_memory, told_with_its_place


@contextmanager
def told_in_one_line(who: str) -> Iterator[None]:
    """Say in one line what went wrong in an explainer: it may be anybody's code.

    Args:
        who: What to call it.

    Raises:
        RunFailedError: For whatever it raises that is no error of ours and no lack of memory.
    """
    try:
        yield
    except FalsewitnessError:
        raise
    except (Exception, SystemExit) as error:
        if tells_of_memory(error):  # which is nobody's fault, and has advice of its own
            raise
        raise RunFailedError(f"{who} failed with {told_with_its_place(error)}") from error
