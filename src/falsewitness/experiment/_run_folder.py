"""A run folder: everything that one model's run leaves behind, whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from falsewitness.core import InputError, RunFailedError
from falsewitness.core.files import hold, move, remove, replacing, what_lies_at, write_text
from falsewitness.core.marker import Marker

Stage = Literal["train", "evaluate"]
"""What a run consists of: each ends with a marker."""

STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which they are done."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run, by name.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The trained weights with their architecture."""
        return self.path / "model.safetensors"

    @property
    def result(self) -> Path:
        """Status and measurements."""
        return self.path / "result.json"

    @property
    def spec(self) -> Path:
        """The spec, as it was run."""
        return self.path / "spec.yaml"

    @property
    def steps(self) -> Path:
        """One line a training step and a validation."""
        return self.path / "steps.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The state of an unfinished training."""
        return self.path / "checkpoint.safetensors"

    @property
    def plan(self) -> Path:
        """What was poisoned."""
        return self.path / "plan.parquet"

    @property
    def environment(self) -> Path:
        """Versions, device, threads, precision."""
        return self.path / "env.json"

    @property
    def cost(self) -> Path:
        """What training took."""
        return self.path / "cost.json"

    @property
    def maps(self) -> Path:
        """Every auditor's maps of the map samples."""
        return self.path / "maps.npz"

    @property
    def values(self) -> Path:
        """Every image's numbers."""
        return self.path / "values.npz"

    @property
    def gallery(self) -> Path:
        """What the report draws."""
        return self.path / "gallery.npz"

    def references(self, digest: str) -> Path:
        """A clean model's reference maps, by the digest of all that decides them."""
        return self.path / f"references-{digest[:8]}.safetensors"

    def remove_references(self) -> None:
        """Remove reference maps, of whatever digest; what is no file in their place is none of ours."""
        for place in self.path.glob("references-*.safetensors"):
            if what_lies_at(place) == "a file":
                place.unlink(missing_ok=True)

    def lock_of_references(self, digest: str) -> Path:
        """What the process holds that makes them."""
        return self.path / f".references-{digest[:8]}.lock"

    @property
    def _files(self) -> tuple[Path, ...]:
        before = (self.spec, self.environment, self.plan)
        trained = (self.steps, self.checkpoint, self.model, self.cost)
        measured = (self.result, self.values, self.maps, self.gallery)
        return (*before, *trained, *measured, *(self.marker(stage).path for stage in STAGES), self._lock)

    @property
    def _lock(self) -> Path:
        return self.path / ".lock"

    @contextmanager
    def locked(self, notice: Callable[[str], None]) -> Iterator[None]:
        """Hold the folder for this process; the system lets go of it even if the process is killed.

        Args:
            notice: Told if another process holds it and this one has to wait.

        Raises:
            InputError: If a folder, a pipe or a device is in the place of one of its files.
            RunFailedError: If the folder cannot be made.
        """
        for file in self._files:
            if (found := what_lies_at(file)) not in ("nothing", "a file"):
                raise InputError(f"expected a file '{file}', got {found}; remove it, then run again")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            held = hold(self._lock, lambda: notice(f"waiting for another process that works on '{self.path}'"))
        except OSError as error:
            raise RunFailedError(
                f"'{self.path}' cannot be made or written to ({error.strerror}); choose another folder with --out"
            ) from error
        with held:
            self._remove_unfinished()
            yield

    def _remove_unfinished(self) -> None:
        """Remove what a killed process had begun to write."""
        for partial in self.path.glob(".*.partial"):
            remove(partial)

    def marker(self, stage: Stage) -> Marker:
        """Return what vouches for the files of a stage."""
        return Marker(self.path, stage)

    @contextmanager
    def rewriting(self, stage: Stage, digest: str, beside: Iterable[Path]) -> Iterator[RunFolder]:
        """Give a folder to write a stage's files to; when the block ends well they take the place of earlier ones.

        Args:
            stage: It is marked as finished then.
            digest: Of all that decides what the stage leaves.
            beside: Files of the run that the stage vouches for, too.

        Raises:
            RunFailedError: If a file cannot be written.
        """
        aside = RunFolder(self.path / f".{stage}.partial")
        try:
            yield aside
            marker = self.marker(stage)
            marker.remove()
            written = {self.path / file.name for file in aside.path.iterdir()}
            for file in sorted(written):
                move(aside.path / file.name, file)
            marker.write(digest, sorted(written.union(beside)))
        finally:
            remove(aside.path)

    def is_done(self, stage: Stage, digest: str) -> bool:
        """Tell whether a stage was finished for a digest, with every file as it was left.

        Raises:
            InputError: If a file of the stage is missing or was changed since.
        """
        return self.marker(stage).vouches(digest)


def unchanged(model: Path) -> Path:
    """Return a model's file; if a run left it there, it is still as the run left it.

    Raises:
        InputError: If it was changed since.
    """
    Marker(model.parent, "train").check(model)
    return model


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file for people and programs."""
    write_text(path, in_json(content).decode("utf-8"))


def in_json(content: Mapping[str, Any]) -> bytes:
    """Return what such a file holds."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # The name of a folder need not be UTF-8; a byte that is not becomes what JSON's own escapes say of it.
    return text.encode("utf-8", errors="backslashreplace")


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as a compressed NumPy archive."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def write_table(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write named columns as a Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        pq.write_table(pa.table(dict(columns)), temporary)
