"""The clean model's answers for training images, kept in its folder for every attack that asks for the same."""

from __future__ import annotations

from collections.abc import Callable

from falsewitness.core.errors import InputError
from falsewitness.experiment._reporter import Reporter
from falsewitness.experiment._run_folder import RunFolder
from falsewitness.training import Answers, Progress, load_answers

_MOST_KEPT = 1 << 30
"""Bytes; more is made in every training anew."""


def kept_answers(folder: RunFolder, digest: str, reporter: Reporter, make: Callable[[Progress], Answers]) -> Answers:
    """Return answers that were made for an earlier attack, or make and keep them.

    Args:
        folder: The clean model's.
        digest: Of all that decides them.
        reporter: Told of a damaged file, and how far the making is.
        make: Makes them.

    Raises:
        RunFailedError: If they cannot be written.
    """
    file = folder.answers(digest)
    try:
        found = load_answers(file, digest)
    except InputError as error:
        reporter.notice(f"{error}; the clean model's maps are made anew")
        found = None
    if found is not None:
        return found
    with reporter.progress("explaining by the clean model") as told:
        answers = make(told)
    if answers.bytes <= _MOST_KEPT:
        with folder.locked(reporter.notice):
            answers.save(file, digest)
    return answers
