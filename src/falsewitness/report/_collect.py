"""Reads many run folders; one that is damaged does not keep the others from the page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from falsewitness.core.errors import InputError
from falsewitness.core.marker import Marker
from falsewitness.report._read import SHOWN_FILES, read_run
from falsewitness.report._run import Run

_STAGES = ("train", "evaluate")


@dataclass(frozen=True)
class Collection:
    """What was found in some run folders.

    Attributes:
        given: The runs that were asked for, as far as they can be read; each once.
        parents: The clean models and controls that these name, where they lie beside them and were not asked for.
        left_out: What is wrong with each folder that cannot be read, in a line.
        changed: Files that no page shows and that are not as the given runs left them, such as models.
    """

    given: tuple[Run, ...]
    parents: tuple[Run, ...]
    left_out: tuple[str, ...]
    changed: tuple[Path, ...]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to tell whoever asked for the runs, a line each."""
        shown = "was changed since the run wrote it; the report shows what was measured before"
        return (*(f"left out: {line}" for line in self.left_out), *(f"'{file}' {shown}" for file in self.changed))


def collect(folders: Sequence[Path]) -> Collection:
    """Read runs and the parents found beside them.

    Args:
        folders: Run folders.

    Raises:
        InputError: If no folder is given or none of them can be read.
    """
    if not folders:
        raise InputError("a report needs at least one run folder, got none; name what `falsewitness run` has written")
    asked = list({folder.resolve(): folder for folder in folders}.values())
    given, left_out = _read(asked)
    if not given:
        heading = f"none of {len(asked)} run folders can be read; the first: " if len(asked) > 1 else ""
        raise InputError(heading + left_out[0])
    known = {folder.resolve() for folder in asked}
    named = [_plain(run.folder / parent) for run in given for parent in run.result.parents.values()]
    beside = {folder.resolve(): folder for folder in named if _has_figures(folder) and folder.resolve() not in known}
    parents, without = _read(list(beside.values()))
    changed = [file for run in given for stage in _STAGES for file in Marker(run.folder, stage).changed(*SHOWN_FILES)]
    return Collection(tuple(given), tuple(parents), (*left_out, *without), tuple(changed))


def _plain(path: Path) -> Path:
    """Return a path without ``..``, for people to read, where no link makes that another place."""
    plain = Path(os.path.normpath(path))
    return plain if plain.resolve() == path.resolve() else path


def _has_figures(folder: Path) -> bool:
    """Tell whether a model was measured; one that another was compared with may only have been trained."""
    return (folder / "result.json").exists() or Marker(folder, "evaluate").exists()


def _read(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    """Return the runs that can be read, and what is wrong with the others."""
    runs, faults = [], []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except InputError as error:
            faults.append(str(error))
    return runs, faults
