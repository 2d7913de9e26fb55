"""Faults of code from elsewhere."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from falsewitness.core import FalsewitnessError, RunFailedError


@contextmanager
def told_in_one_line(who: str) -> Iterator[None]:
    """Say in one line what went wrong in an explainer: it may be anybody's code.

    Args:
        who: What to call it.

    Raises:
        RunFailedError: For whatever it raises that is no error of ours.
    """
    try:
        yield
    except FalsewitnessError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = str(error).partition("\n")[0]
        raise RunFailedError(
            f"{who} failed with {type(error).__name__}: {reason} ({place.filename}, line {place.lineno})"
        ) from error
