"""Files that are either whole or not there."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from falsewitness.core import InputError, RunFailedError
from falsewitness.core.files import (
    IrregularFileError,
    hold_if_free,
    is_held,
    open_file,
    read_bytes,
    read_json,
    read_text,
    replacing,
    sha256_of,
    what_lies_at,
    write_end,
    write_text,
)
from falsewitness.core.marker import Marker


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "whole"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def write_half(path: Path, error: type[BaseException]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RunFailedError if error is OSError else error):
        write_half(path, error)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


def test_a_write_that_fails_before_it_begins_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="early"), replacing(path):
        raise ValueError("early")
    assert path.read_text() == "old"


@pytest.mark.parametrize("place", ["file/report.txt", "file/deeper/still/report.txt"])
def test_a_folder_that_is_a_file_is_told_in_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailedError, match=r"report\.txt' cannot be written: .*; make room or choose") as caught:
        write_text(tmp_path / place, "text")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_file_in_whose_place_there_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "report.txt" / "inside").mkdir(parents=True)
    with pytest.raises(RunFailedError, match="cannot be written"):
        write_text(tmp_path / "report.txt", "text")
    assert [file.name for file in tmp_path.iterdir()] == ["report.txt"]


def test_a_full_disk_leaves_the_old_file_and_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    program = (
        "import sys\nfrom pathlib import Path\nfrom falsewitness.core.files import write_text\n"
        "write_text(Path(sys.argv[1]), 'x' * 100_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"RunFailedError: '{path}' cannot be written: File too large; make room" in done.stderr.splitlines()[-1]
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.txt"]


def test_text_is_written_in_utf_8_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "größer\r\n→")
    assert (tmp_path / "file.txt").read_bytes() == "größer\r\n→".encode()


def test_a_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("read", [open_file, read_bytes, read_text, sha256_of, hold_if_free, is_held])
def test_a_pipe_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IrregularFileError, match="a pipe or a device"):
        read(tmp_path / "pipe")


def test_a_pipe_is_not_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunFailedError, match="pipe' cannot be written: a pipe or a device"):
        write_end(tmp_path / "pipe", 0, b"content")


def test_what_lies_somewhere_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    found = {name: what_lies_at(tmp_path / name) for name in (".", "file", "pipe", "none", "circle", "file/x", "a\0b")}
    assert list(found.values()) == ["a folder", "a file", "a pipe or a device", *["nothing"] * 4]
    with pytest.raises(OSError, match="File name too long"):
        what_lies_at("x" * 5000)

    def refuse(path: Path) -> object:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("falsewitness.core.files.os.stat", refuse)
    with pytest.raises(PermissionError):
        what_lies_at(tmp_path / "file")


def test_json_that_is_nested_beyond_measure_is_a_fault_of_its_value(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "deep.json")


def test_a_file_that_may_not_be_read_is_not_called_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = Marker(tmp_path, "train")
    (tmp_path / "file").write_text("content")
    marker.write("digest", [tmp_path / "file"])

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("falsewitness.core.marker.sha256_of", refuse)
    with pytest.raises(InputError, match="file' cannot be read: Permission denied; make it readable, or leave its run"):
        marker.check()
    assert marker.changed() == ()
    monkeypatch.setattr("falsewitness.core.marker.read_json", refuse)
    with pytest.raises(InputError, match=r"\.train-done\.json' cannot be read: Permission denied; make it readable"):
        marker.check()


def test_a_marker_takes_a_pipe_for_a_damaged_file(tmp_path: Path) -> None:
    file, marker = tmp_path / "file", Marker(tmp_path, "train")
    file.write_text("content")
    marker.write("digest", [file])
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(InputError, match=r"file' was changed since the run wrote it"):
        marker.check()
    marker.path.unlink()
    os.mkfifo(marker.path)
    with pytest.raises(InputError, match="is damaged; restore it"):
        marker.check()
