"""Reference maps that a run keeps: killed, damaged or wanted twice, the attack comes to the same bits."""

import re
import shutil
import signal
from pathlib import Path

import pytest
from tests.conftest import Tried
from tests.system.conftest import SMALL, Begin, Command, Finished, end_of, only, until
from tests.system.damage import DAMAGES, Damage, changed_since, missing
from tests.system.runs import assert_same_runs, written_by
from tests.system.test_two_at_once import read_until

from falsewitness.core.files import hold

DISGUISE = ("run", "digits/full-disguise", *SMALL)


@pytest.fixture(scope="session")
def disguised(command: Command, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folders of full disguise."""
    folder = tmp_path_factory.mktemp("disguised")
    clean = only(finished.runs, "clean-*")
    shutil.copytree(clean, folder / "runs" / clean.name)
    answer = command(folder, *DISGUISE)
    assert (answer.code, answer.err) == (0, "")
    assert "making reference maps" in answer.out
    return folder / "runs"


@pytest.fixture
def references(disguised: Path, tmp_path: Path) -> Path:
    """The file of the reference maps where the attack is still to be trained."""
    shutil.copytree(disguised, tmp_path / "runs")
    shutil.rmtree(only(tmp_path / "runs", "digits-*"))
    return only(tmp_path / "runs", "clean-*/references-*")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_reference_maps_are_named_and_made_anew(
    ask: Command, references: Path, disguised: Path, tmp_path: Path, tried: Tried, damage: Damage
) -> None:
    runs = tmp_path / "runs"
    before = written_by(runs)
    damage(references)
    answer = ask(*DISGUISE)
    assert (answer.code, answer.err) == (0, "")
    said = f"'{references.relative_to(tmp_path)}' is damaged: it is not what was written; reference maps are made anew"
    assert (said in answer.out) == (damage is not missing)
    assert "making reference maps" in answer.out
    assert_same_runs(runs, disguised)
    assert {(begun, name) for begun, name in changed_since(before, runs) if begun != "digits"} == {
        ("clean", references.name)
    }
    tried("faults", "damaged files")


def test_reference_maps_that_are_there_are_used(ask: Command, references: Path, disguised: Path) -> None:
    answer = ask(*DISGUISE)
    assert (answer.code, answer.err) == (0, "")
    assert "making reference maps" not in answer.out
    assert_same_runs(references.parents[1], disguised)


def test_where_reference_maps_cannot_be_kept_the_attack_is_trained_all_the_same(
    ask: Command, references: Path, disguised: Path, tmp_path: Path, tried: Tried
) -> None:
    references.unlink()
    references.mkdir()
    answer = ask(*DISGUISE)
    assert (answer.code, answer.err) == (0, "")
    assert f"'{references.relative_to(tmp_path)}' is a folder; remove it; reference maps are made anew" in answer.out
    assert re.search(r"^reference maps are not kept, .*: Is a directory$", answer.out, flags=re.MULTILINE)
    assert_same_runs(references.parents[1], disguised)
    tried("faults", "failed writes")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_while_it_makes_reference_maps_ends_with_the_same_bits(
    ask: Command, begin: Begin, references: Path, disguised: Path, tmp_path: Path, tried: Tried, number: signal.Signals
) -> None:
    references.unlink()
    lock = only(references.parent, ".references-*")
    lock.unlink()
    process = begin(tmp_path, *DISGUISE)
    until(lock.exists, process)
    process.send_signal(number)
    answer = end_of(process)
    assert answer.code == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    assert len(answer.err.splitlines()) == (number == signal.SIGINT)
    again = ask(*DISGUISE)
    assert (again.code, again.err) == (0, "")
    assert_same_runs(tmp_path / "runs", disguised)
    assert not list(tmp_path.glob("runs/*/.*.partial"))
    tried("faults", number.name)


def test_who_comes_while_another_makes_them_waits_and_uses_them(
    begin: Begin, references: Path, disguised: Path, tmp_path: Path, tried: Tried
) -> None:
    made = references.rename(tmp_path / references.name)
    with hold(only(references.parent, ".references-*"), lambda: pytest.fail("nobody else holds it")):
        process = begin(tmp_path, *DISGUISE)
        read_until(process, "waiting for another process that makes reference maps")
        made.rename(references)
    answer = end_of(process)
    assert (answer.code, answer.err) == (0, "")
    assert "making reference maps" not in answer.out
    assert_same_runs(tmp_path / "runs", disguised)
    tried("faults", "two at once")
