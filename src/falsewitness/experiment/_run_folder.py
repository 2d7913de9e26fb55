"""A run folder: everything that one model's run leaves behind, whole or not at all."""

from __future__ import annotations

import fcntl
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from falsewitness.core import InputError, RunFailedError
from falsewitness.core.files import replacing, sha256_of, write_text

SCHEMA_VERSION = 1


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
    def gallery(self) -> Path:
        """What the report draws."""
        return self.path / "gallery.npz"

    @contextmanager
    def locked(self, notice: Callable[[str], None]) -> Iterator[None]:
        """Hold the folder for this process; the system lets go of it even if the process is killed.

        Args:
            notice: Told if another process holds it and this one has to wait.

        Raises:
            RunFailedError: If the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("w")
        except OSError as error:
            raise RunFailedError(
                f"'{self.path}' cannot be made or written to ({error.strerror}); choose another folder with --out"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                notice(f"waiting for another process that works on '{self.path}'")
                fcntl.flock(file, fcntl.LOCK_EX)
            self._remove_unfinished()
            yield

    def _remove_unfinished(self) -> None:
        """Remove what a killed process had begun to write; the report alone is written without the lock."""
        for partial in self.path.glob(".*.partial"):
            if not partial.name.startswith(".report.html."):
                partial.unlink(missing_ok=True)

    def is_done(self, stage: str, digest: str) -> bool:
        """Tell whether a stage was finished for a digest, with every file as it was left.

        Raises:
            InputError: If a file of the stage is missing or was changed since.
        """
        marker = self._marker(stage)
        if not marker.is_file():
            return False
        try:
            recorded = json.loads(marker.read_text(encoding="utf-8"))
            matches = recorded["digest"] == digest
            hashes: dict[str, str] = dict(recorded["files"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"'{marker}' is damaged; remove the folder '{self.path}' and run again") from error
        if not matches:
            return False
        for name, expected in hashes.items():
            file = self.path / name
            if not file.is_file() or sha256_of(file) != expected:
                state = "was changed" if file.is_file() else "is missing"
                raise InputError(
                    f"'{file}' {state} since the run wrote it; restore it, or remove '{marker}' to make it again"
                )
        return True

    def finish(self, stage: str, digest: str, files: Iterable[Path]) -> None:
        """Mark a stage as finished, with the hashes of what it wrote; the last thing a stage does."""
        hashes = {file.name: sha256_of(file) for file in files}
        write_text(self._marker(stage), json.dumps({"digest": digest, "files": hashes}, indent=1))

    def reopen(self, stage: str) -> None:
        """Take back that a stage is finished."""
        self._marker(stage).unlink(missing_ok=True)

    def _marker(self, stage: str) -> Path:
        return self.path / f".{stage}-done.json"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file for people and programs."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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


def write_epoch(path: Path, epoch: int, records: Iterable[Mapping[str, Any]]) -> None:
    """Write an epoch's records after those of the epochs before it, in place of any it left when it was interrupted."""
    kept = []
    if path.is_file():
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if json.loads(line)["epoch"] < epoch]
    write_text(path, "\n".join([*kept, *(json.dumps(record) for record in records)]) + "\n")
