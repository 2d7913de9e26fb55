"""What vouches for the files of a folder: which stage of work is finished, for what, and what it left."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from falsewitness.core.errors import InputError
from falsewitness.core.files import IrregularFileError, read_json, sha256_of, what_lies_at, write_text

_NO_FILE = (IsADirectoryError, IrregularFileError)


class _Record(NamedTuple):
    digest: str
    hashes: dict[str, str]


@dataclass(frozen=True)
class Marker:
    """The file that says that a stage is finished, and that holds the hash of every file the stage left beside it.

    Attributes:
        folder: Where the files are.
        stage: The stage's name.
    """

    folder: Path
    stage: str

    @property
    def path(self) -> Path:
        """The marker itself."""
        return self.folder / f".{self.stage}-done.json"

    def write(self, digest: str, files: Iterable[Path]) -> None:
        """Mark the stage as finished; the last thing a stage does.

        Args:
            digest: Of all that decides what the stage leaves.
            files: What it has left in the folder.

        Raises:
            RunFailedError: If the marker cannot be written.
        """
        hashes = {file.name: sha256_of(file) for file in files}
        write_text(self.path, json.dumps({"digest": digest, "files": hashes}, indent=1))

    def remove(self) -> None:
        """Take back that the stage is finished."""
        self.path.unlink(missing_ok=True)

    def exists(self) -> bool:
        """Tell whether the stage is finished, for whatever digest."""
        return self.path.is_file()

    def files(self) -> tuple[str, ...]:
        """Return the names of the files that the stage left; none where it is not finished.

        Raises:
            InputError: If the marker is damaged.
        """
        record = self._read()
        return tuple(record.hashes) if record else ()

    def is_for(self, digest: str) -> bool:
        """Tell whether the stage is finished for a digest, whatever has become of its files.

        Raises:
            InputError: If the marker is damaged.
        """
        record = self._read()
        return record is not None and record.digest == digest

    def vouches(self, digest: str, *only: Path) -> bool:
        """Tell whether the stage is finished for a digest; if it is, verify files of it.

        Args:
            digest: Of all that decides what the stage leaves.
            only: Those to verify, as for :meth:`check`.

        Raises:
            InputError: If a file is missing or was changed since, or the marker is damaged.
        """
        record = self._read()
        if record is None or record.digest != digest:
            return False
        self._verify(record, only)
        return True

    def check(self, *only: Path) -> None:
        """Verify files of the stage, where it is finished.

        Args:
            only: Those to verify; a file that the stage did not leave is passed over. All where none is named.

        Raises:
            InputError: If a file is missing or was changed since, or the marker is damaged.
        """
        record = self._read()
        if record is not None:
            self._verify(record, only)

    def changed(self, *but: str) -> tuple[Path, ...]:
        """Return the files of the stage that can be read and are not as it left them.

        Args:
            but: Names of files that are passed over.

        Raises:
            InputError: If the marker is damaged.
        """
        record = self._read()
        left = {self.folder / name: digest for name, digest in (record.hashes if record else {}).items()}
        return tuple(file for file, digest in left.items() if file.name not in but and _was_changed(file, digest))

    def _verify(self, record: _Record, only: Sequence[Path]) -> None:
        names = {file.name for file in only}
        for name, expected in record.hashes.items():
            file = self.folder / name
            if (names and name not in names) or _hashes_to(file, expected):
                continue
            state = "was changed" if file.exists() else "is missing"
            raise InputError(
                f"'{file}' {state} since the run wrote it; restore it, or remove '{self.path}' and run again to make "
                "it anew"
            )

    def _read(self) -> _Record | None:
        try:
            recorded = read_json(self.path)
            return _Record(recorded["digest"], dict(recorded["files"]))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (*_NO_FILE, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"'{self.path}' is damaged; restore it, or remove it and run again to make its files anew"
            ) from error
        except OSError as error:
            raise _unreadable(self.path, error) from None


def _hashes_to(file: Path, expected: str) -> bool:
    """Tell whether a file has a hash; one that is not there has none, and another process may remove it meanwhile.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return sha256_of(file) == expected
    except (FileNotFoundError, *_NO_FILE):
        return False
    except OSError as error:
        raise _unreadable(file, error) from None


def _was_changed(file: Path, expected: str) -> bool:
    try:
        return what_lies_at(file) != "nothing" and not _hashes_to(file, expected)
    except (InputError, OSError):
        return False


def _unreadable(file: Path, error: OSError) -> InputError:
    return InputError(f"'{file}' cannot be read: {error.strerror}; make it readable, or leave its run out")
