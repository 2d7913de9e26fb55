"""The last lines of a test run tell what was tried."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
def test_one(tried):
    tried("faults", "SIGKILL", 2)
    tried("bad inputs", "specs", 1000)


def test_two(tried):
    tried("faults", "SIGINT")
    tried("faults", "SIGKILL")


def test_three(tried):
    tried("kills", "plan")
    assert False
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_sums_stand_in_the_last_lines_and_failed_tests_are_not_among_them(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines()[-4:-1] == [
        "kills tried: 0 (), survived; 1 MORE IN TESTS THAT FAILED",
        "faults tried: 4 (SIGINT 1, SIGKILL 3), all noticed or survived",
        "bad inputs tried: 1000 (specs 1000), all refused as promised",
    ]
