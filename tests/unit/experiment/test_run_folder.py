"""A run folder: marked when whole, watched for changes, held by one process at a time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from falsewitness.core import InputError, RunFailedError
from falsewitness.experiment import RunFolder
from falsewitness.experiment._run_folder import write_arrays, write_json, write_table


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A folder whose stage of training is finished."""
    folder = RunFolder(tmp_path / "run")
    write_json(folder.cost, {"seconds": 1})
    write_json(folder.environment, {"device": "cpu"})
    folder.marker("train").write("digest", [folder.cost, folder.environment])
    return folder


def test_a_finished_stage_is_done_for_its_digest_alone(folder: RunFolder) -> None:
    assert folder.is_done("train", "digest")
    assert not folder.is_done("train", "another")
    assert not folder.is_done("evaluate", "digest")
    assert not RunFolder(folder.path / "nowhere").is_done("train", "digest")


def test_a_stage_can_be_reopened_even_twice(folder: RunFolder) -> None:
    folder.marker("train").remove()
    folder.marker("train").remove()
    assert not folder.is_done("train", "digest")


def test_a_file_that_was_changed_is_noticed(folder: RunFolder) -> None:
    folder.cost.write_text("{}")
    with pytest.raises(InputError, match=r"cost\.json' was changed since the run wrote it; restore it, or remove"):
        folder.is_done("train", "digest")


def test_a_file_that_is_missing_is_noticed(folder: RunFolder) -> None:
    folder.environment.unlink()
    with pytest.raises(InputError, match=r"env\.json' is missing since the run wrote it"):
        folder.is_done("train", "digest")


def test_the_advice_to_remove_the_marker_works(folder: RunFolder) -> None:
    folder.cost.write_text("{}")
    with pytest.raises(InputError) as caught:
        folder.is_done("train", "digest")
    Path(str(caught.value).split("remove '")[1].split("'")[0]).unlink()
    assert not folder.is_done("train", "digest")


def test_single_files_of_a_stage_can_be_verified(folder: RunFolder) -> None:
    folder.cost.write_text("{}")
    folder.marker("train").check(folder.environment, folder.model)
    folder.marker("evaluate").check()
    with pytest.raises(InputError, match=r"cost\.json' was changed"):
        folder.marker("train").check(folder.environment, folder.cost)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"digest": "digest"}', '{"digest": "digest", "files": 3}'])
def test_a_damaged_marker_is_told_in_one_line(folder: RunFolder, content: str) -> None:
    (folder.path / ".train-done.json").write_text(content)
    with pytest.raises(InputError, match=r"train-done\.json' is damaged; restore it, or remove it and run again"):
        folder.is_done("train", "digest")


def test_a_marker_that_is_no_text_is_told_in_one_line(folder: RunFolder) -> None:
    (folder.path / ".train-done.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"is damaged"):
        folder.is_done("train", "digest")


HOLDER = """
import sys
from pathlib import Path
from falsewitness.experiment import RunFolder
with RunFolder(Path(sys.argv[1])).locked(print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunFolder, "subprocess.Popen[str]"]]:
    """A folder that another process holds until its standard input is closed."""
    path = tmp_path_factory.mktemp("held") / "run"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield RunFolder(path), holder
        holder.kill()


def test_a_second_process_waits_for_the_first_and_says_so(held: tuple[RunFolder, "subprocess.Popen[str]"]) -> None:
    folder, holder = held
    notices: list[str] = []

    def notice(text: str) -> None:
        notices.append(text)
        holder.kill()  # the system lets go of the lock of a killed process

    with folder.locked(notice):
        assert notices == [f"waiting for another process that works on '{folder.path}'"]
        assert holder.wait(timeout=60) != 0
    with folder.locked(notices.append):
        assert len(notices) == 1


def test_a_folder_that_nobody_holds_is_had_at_once(tmp_path: Path) -> None:
    notices: list[str] = []
    folder = RunFolder(tmp_path / "a" / "b")
    with folder.locked(notices.append):
        assert folder.path.is_dir()
    with folder.locked(notices.append):
        pass
    assert notices == []


def test_what_a_killed_process_had_begun_to_write_is_removed(folder: RunFolder) -> None:
    before = {file.name for file in folder.path.iterdir()}
    (folder.path / ".model.safetensors.123.partial").touch()
    (folder.path / ".evaluate.partial").mkdir()
    (folder.path / ".evaluate.partial" / "maps.npz").touch()
    with folder.locked(print):
        assert {file.name for file in folder.path.iterdir()} == before | {".lock"}


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(RunFailedError, match=r"cannot be made or written to .*; choose another folder with --out"),
        RunFolder(tmp_path / "file" / "run").locked(print),
    ):
        pass


def test_json_is_readable_by_people_and_has_no_words_of_its_own(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", {"name": "größer", "list": [1]})
    assert (tmp_path / "file.json").read_text(
        encoding="utf-8"
    ) == '{\n  "name": "größer",\n  "list": [\n    1\n  ]\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"loss": float("nan")})
    assert json.loads((tmp_path / "file.json").read_text())["name"] == "größer"


def test_arrays_come_back_without_anything_that_can_run(tmp_path: Path) -> None:
    arrays = {"images": np.arange(6, dtype=np.uint8).reshape(2, 3), "maps/gradcam/clean": np.array([0.5])}
    write_arrays(tmp_path / "file.npz", arrays)
    with np.load(tmp_path / "file.npz", allow_pickle=False) as found:
        assert set(found) == set(arrays)
        assert all(
            np.array_equal(found[name], array) and found[name].dtype == array.dtype for name, array in arrays.items()
        )


def test_a_table_comes_back(tmp_path: Path) -> None:
    write_table(tmp_path / "plan.parquet", {"image": np.array([3, 1]), "clean": np.array([True, False])})
    assert pq.read_table(tmp_path / "plan.parquet").to_pydict() == {"image": [3, 1], "clean": [True, False]}


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_json(path, {}),
        lambda path: write_arrays(path, {}),
        lambda path: write_table(path, {"image": np.array([1])}),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFailedError, match="cannot be written"):
        write(tmp_path / "file" / "out")


@pytest.mark.parametrize("name", ["model.safetensors", "maps.npz", "env.json", ".train-done.json", ".lock"])
@pytest.mark.parametrize(("put", "what"), [(Path.mkdir, "a folder"), (os.mkfifo, "a pipe or a device")])
def test_what_is_no_file_in_the_place_of_one_is_named_before_any_work(
    folder: RunFolder, name: str, put: Callable[[Path], None], what: str
) -> None:
    (folder.path / name).unlink(missing_ok=True)
    put(folder.path / name)
    with (
        pytest.raises(InputError, match=rf"expected a file '.*/{name}', got {what}; remove it, then run again"),
        folder.locked(lambda notice: None),
    ):
        pytest.fail("the folder was held")
