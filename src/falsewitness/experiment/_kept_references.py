"""Reference maps, kept in the clean model's folder for every attack that compares with the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from falsewitness.core.errors import FalsewitnessError, InputError
from falsewitness.core.files import hold, what_lies_at
from falsewitness.experiment._reporter import Reporter
from falsewitness.experiment._run_folder import RunFolder
from falsewitness.training import MakeReferences, ReferenceMaps, load_reference_maps

_MOST_KEPT = 1 << 30
"""Bytes; more is made in every training anew."""


def kept_reference_maps(
    folder: RunFolder, digest: str, reporter: Reporter, make: MakeReferences, nbytes: int
) -> ReferenceMaps:
    """Return what was made for an earlier attack, or make and keep it; of several processes one makes it.

    Args:
        folder: The clean model's.
        digest: Of all that decides them.
        reporter: Told of a file that is no use, of one that cannot be kept, and how far the making is.
        make: Makes them.
        nbytes: What they will take.
    """
    if nbytes > _MOST_KEPT:
        return _made(make, reporter)
    file = folder.references(digest)
    with _alone(folder.lock_of_references(digest), reporter):
        found = _found(file, digest, reporter)
        if found is None:
            found = _made(make, reporter)
            _keep(found, file, digest, folder, reporter)
    return found


def _made(make: MakeReferences, reporter: Reporter) -> ReferenceMaps:
    with reporter.progress("making reference maps") as told:
        return make(told)


@contextmanager
def _alone(lock: Path, reporter: Reporter) -> Iterator[None]:
    """Let one process at a time look and make; where no lock can be had, all may."""
    with ExitStack() as until_done:
        try:
            held = hold(
                lock, lambda: reporter.notice(f"waiting for another process that makes reference maps ('{lock}')")
            )
            until_done.enter_context(held)
        except OSError as error:
            there = what_lies_at(lock)
            remedy = "" if there in {"nothing", "a file"} else f", it is {there}; remove it"
            reason = f"'{lock}' cannot be locked ({error.strerror}){remedy}"
            reporter.notice(f"{reason}; until it can be, two processes may make the same reference maps")
        yield


def _found(file: Path, digest: str, reporter: Reporter) -> ReferenceMaps | None:
    try:
        found = load_reference_maps(file, digest)
        if found is None and (there := what_lies_at(file)) != "nothing":
            what = "has reference maps of something else" if there == "a file" else f"is {there}; remove it"
            reporter.notice(f"'{file}' {what}; reference maps are made anew")
    except InputError as error:
        reporter.notice(f"{error}; reference maps are made anew")
        return None
    return found


def _keep(made: ReferenceMaps, file: Path, digest: str, folder: RunFolder, reporter: Reporter) -> None:
    """Write them; that it fails ends no training, which has what it needs."""
    try:
        with folder.locked(reporter.notice):  # else another process may take the unfinished file for a killed one's
            made.save(file, digest)
    except FalsewitnessError as error:
        reason, _, _ = str(error).partition("; ")  # its advice is for those whose command ends here
        reporter.notice(f"reference maps are not kept, the next attack makes them anew: {reason}")
