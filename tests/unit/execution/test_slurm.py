"""Slurm: what a user can get wrong, and a cluster whose commands are small programs on this machine."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from falsewitness.core import InputError, RunFailedError
from falsewitness.execution import Pool, _slurm_pool
from falsewitness.execution.slurm import Slurm

from . import calls
from .support import all_ended, gone, process_at, value_of

COMMANDS = Path(__file__).with_name("slurm_commands.py")


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    for name in ("sbatch", "srun", "sacct", "scancel"):
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {sys.executable} {COMMANDS} {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("SLURM_NOTES", str(tmp_path))
    monkeypatch.setenv("SLURM_STATE_OF_THE_DEAD", "FAILED")
    monkeypatch.setattr(_slurm_pool, "_FILE_TRAVELS", 0.0)
    executor = Slurm(cpus=2, gpus=1, memory_gb=3, minutes=5, partition="fast", folder=tmp_path / "jobs")
    with executor.open() as opened:
        yield opened


def test_a_job_asks_for_what_the_executor_says(pool: Pool, tmp_path: Path) -> None:
    assert value_of(pool, os.getenv, "OMP_NUM_THREADS") == "2"
    (script,) = tmp_path.glob("jobs/*/*_submission.sh")
    wanted = {"cpus-per-task=2", "gpus-per-node=1", "mem=3GB", "time=5", "partition=fast"}
    assert wanted <= {line.removeprefix("#SBATCH --") for line in script.read_text().splitlines()}
    assert "srun" in script.read_text()
    assert list(tmp_path.glob("jobs/*/*.pkl")) == []


def test_a_job_that_slurm_ends_for_its_time_is_told_from_one_that_dies(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_STATE_OF_THE_DEAD", "TIMEOUT")
    pool.submit("call", calls.die)
    ended = all_ended(pool)["call"]
    assert (ended.status, ended.fault) == ("timed out", "ran longer than its limit of 300 s and was killed")


def test_a_job_over_its_limit_is_cancelled(pool: Pool, tmp_path: Path) -> None:
    pool.submit("call", calls.sleep_after_saying_so, tmp_path / "process", 60.0, limit=1.5)
    process = process_at(tmp_path / "process")
    assert all_ended(pool)["call"].status == "timed out"
    assert gone(process, within=2)


def test_a_job_that_slurm_does_not_take_is_lost(pool: Pool, tmp_path: Path) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid partition' >&2; exit 1\n")
    pool.submit("call", abs, -1)
    ended = all_ended(pool)["call"]
    assert ended.status == "lost"
    assert ended.fault.startswith("no job was queued: ")
    assert "invalid partition" in ended.fault


def test_a_machine_without_slurm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="expected the program sbatch on this machine, got none"), Slurm().open():
        pass


def test_it_says_how_submitit_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"pip install 'falsewitness\[slurm\]'"), Slurm().open():
        pass


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunFailedError, match="cannot be written"),
        Slurm(cluster="local", folder=tmp_path / "file").open(),
    ):
        pass
