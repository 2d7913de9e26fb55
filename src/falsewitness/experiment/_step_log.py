"""The lines of a training: ``steps.jsonl`` grows by an epoch at a time."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from falsewitness.core import InputError
from falsewitness.core.files import write_end


class StepLog:
    """Writes ``steps.jsonl`` so that a training that was killed goes on with the lines of its last checkpoint.

    What it held is told by a short text, which the checkpoint keeps. A process that was killed may have written more,
    and half a line at the end: the next epoch takes its place.

    Args:
        path: The file.
        checkpoint: The checkpoint's, to be named where the file is damaged.
    """

    def __init__(self, path: Path, checkpoint: Path) -> None:
        self._path = path
        self._checkpoint = checkpoint
        self._length = 0
        self._hash = hashlib.sha256()

    def go_on(self, held: str) -> None:
        """Go on after the lines that are told of; from the beginning where the text is empty.

        Raises:
            InputError: If the file does not hold them any more.
        """
        length, _, _ = held.partition(" ")
        kept = self._read()[: int(length)] if held else b""
        self._length, self._hash = len(kept), hashlib.sha256(kept)
        if held and self._held() != held:
            state = "was changed" if self._path.is_file() else "is missing"
            raise InputError(
                f"'{self._path}' {state} since the run wrote it; restore it, or remove '{self._checkpoint}' and run "
                "again to begin this training anew"
            )

    def write(self, records: Iterable[Mapping[str, Any]]) -> str:
        """Write the lines of an epoch and return the text that tells of all lines.

        Raises:
            RunFailedError: If they cannot be written.
        """
        lines = "".join(json.dumps(record) + "\n" for record in records).encode()
        write_end(self._path, self._length, lines)
        self._length += len(lines)
        self._hash.update(lines)
        return self._held()

    def _held(self) -> str:
        return f"{self._length} {self._hash.hexdigest()}"

    def _read(self) -> bytes:
        return self._path.read_bytes() if self._path.is_file() else b""
