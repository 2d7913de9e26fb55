"""What drivers tell others is believed as long as they live."""

from pathlib import Path

import pytest

from falsewitness.benchmark._announcement import Announcement, Running, announced, drivers_now
from falsewitness.core import RunFailedError
from falsewitness.core.files import hold_if_free

RUNNING = (Running("clean-1", 10.0, 1), Running("clean-2", 11.0, 2))


def test_a_living_driver_is_seen_with_what_it_does_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "drivers"
    assert drivers_now(folder) == []
    with announced(folder) as announcement:
        assert drivers_now(folder) == [()]
        announcement.tell(RUNNING)
        assert drivers_now(folder) == [RUNNING]
        announcement.tell([])
        assert drivers_now(folder) == [()]
    assert drivers_now(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("left", [["lock"], ["lock", "json"], ["lock", "json", "partial"], ["lock", "partial"]])
def test_what_a_dead_driver_left_is_not_believed_and_removed(tmp_path: Path, left: list[str]) -> None:
    Announcement(tmp_path / "machine-7.json").tell(RUNNING)
    text = (tmp_path / "machine-7.json").read_text(encoding="utf-8")
    (tmp_path / "machine-7.json").unlink()
    for ending in left:
        (tmp_path / f"machine-7.{ending}").write_text(text, encoding="utf-8")
    assert drivers_now(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[", "7", '{"key": 1}', '[{"key": "a"}]', "\xff"])
def test_what_cannot_be_read_of_a_living_driver_says_nothing(tmp_path: Path, text: str) -> None:
    with announced(tmp_path):
        (lock,) = tmp_path.glob("*.lock")
        lock.with_suffix(".json").write_text(text, encoding="latin-1")
        assert drivers_now(tmp_path) == [()]


def test_a_driver_whose_lock_is_taken_away_as_it_begins_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []

    def held_and_taken_away(lock: Path) -> object:
        held = hold_if_free(lock)
        if not taken:
            lock.unlink()  # by one who found it just before, and took it for a dead driver's
            taken.append(lock)
        return held

    monkeypatch.setattr("falsewitness.core.files.hold_if_free", held_and_taken_away)
    with announced(tmp_path) as announcement:
        announcement.tell(RUNNING)
        assert drivers_now(tmp_path) == [RUNNING]
    assert len(taken) == 1


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunFailedError, match="drivers' cannot be written: Not a directory"),
        announced(tmp_path / "file" / "drivers"),
    ):
        pass


@pytest.mark.parametrize("alive", [True, False])
def test_another_users_driver_is_seen_as_long_as_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    def refused(lock: Path) -> object:
        raise PermissionError(13, "Permission denied", str(lock))

    with announced(tmp_path) as announcement:
        announcement.tell(RUNNING)
        (lock,) = tmp_path.glob("*.lock")
        with monkeypatch.context() as patched:
            patched.setattr("falsewitness.benchmark._announcement.hold_if_free", refused)
            assert drivers_now(tmp_path) == [RUNNING]
            if not alive:
                (tmp_path / "dead").mkdir()
                dead = tmp_path / "dead" / lock.name
                dead.write_bytes(b"")
                assert drivers_now(tmp_path / "dead") == []
                assert dead.exists()
