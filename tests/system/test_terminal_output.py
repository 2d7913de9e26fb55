import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from tests.system.conftest import SMALL_CLEAN, Command, Finished, environment

from falsewitness.cli._console import ConsoleReporter, duration
from falsewitness.cli._table import laid_out

CONTROL = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")


def on_a_terminal(folder: Path, *words: str, columns: int, interrupt_at: bytes | None = None) -> tuple[str, int]:
    """Run a command on a terminal of its own; return every byte that it wrote there, and its exit code.

    It is interrupted when it has written some text, if one is given.
    """
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (40, columns))
    known = {name: value for name, value in environment(TERM="xterm").items() if name not in ("COLUMNS", "NO_COLOR")}
    program = [str(Path(sys.executable).with_name("falsewitness")), *words]
    process = subprocess.Popen(program, cwd=folder, env=known, stdin=its, stdout=its, stderr=its)
    os.close(its)
    written = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        while True:
            try:
                part = terminal.read(65536)
            except OSError:  # how Linux says that nobody has the other end open any more
                break
            if not part:
                break
            written += part
            if interrupt_at is not None and interrupt_at in written:
                process.send_signal(signal.SIGINT)
                interrupt_at = None
    return written.decode(), process.wait(timeout=60)


def test_a_terminal_shows_bars_with_the_remaining_time_and_keeps_a_line_a_stage(tmp_path: Path) -> None:
    written, code = on_a_terminal(tmp_path, "run", "digits/clean", *SMALL_CLEAN, columns=80)
    assert code == 0, written
    frames = [CONTROL.sub("", frame) for frame in re.split(r"[\r\n]+", written)]
    bars = [frame for frame in frames if frame.startswith("training clean model ")]
    assert any(re.search(r" +\d+/24 0:00:\d\d left: 0:00:\d\d$", bar) for bar in bars), bars
    assert max(map(len, bars)) <= 80
    assert any(re.fullmatch(r"training clean model: \d+\.\d s", frame) for frame in frames)
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h"), "the cursor is shown again"
    assert frames[-2].startswith("report: runs/clean-")


def test_an_interrupt_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    words = ("run", "digits/clean", *SMALL_CLEAN)
    written, code = on_a_terminal(tmp_path, *words, columns=80, interrupt_at=b"training clean model ")
    assert code == 130
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l"), "the cursor is shown again"
    told = "falsewitness: interrupted; run the same command again to go on from what is finished"
    assert CONTROL.sub("", written).splitlines()[-1] == told


def test_a_log_gets_a_line_a_minute_with_the_remaining_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("falsewitness.cli._console.monotonic", lambda: now)
    with ConsoleReporter().progress("training") as progress:
        for step in range(1, 8):
            now += 25
            progress(step, 10)
    assert capsys.readouterr().out.splitlines() == [
        "training: 3 of 10, about 2 min 55 s left",
        "training: 6 of 10, about 1 min 40 s left",
        "training: 2 min 55 s",
    ]


def test_a_resumed_stage_counts_only_what_it_does_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("falsewitness.cli._console.monotonic", lambda: now)
    with ConsoleReporter().progress("training") as progress:
        progress(900, 1000)
        now += 60
        progress(910, 1000)
    assert capsys.readouterr().out.splitlines()[0] == "training: 910 of 1000, about 9 min 00 s left"


def test_a_stage_that_fails_leaves_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), ConsoleReporter().progress("training"):
        raise ZeroDivisionError
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
        (90000, "25 h 00 min"),
    ],
)
def test_times_are_written_in_the_unit_that_suits_them(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_numbers_stand_below_one_another_and_headings_break_between_words() -> None:
    heading, rows = laid_out(
        ["by eye", "Trigger lift", "n"], [["one", "0.5", "1"], ["another", "\u221212.25", "10"]], 80
    )
    assert heading.splitlines() == [
        "         Trigger",
        "by eye      lift   n",
    ]
    assert rows.splitlines() == [
        "one          0.5   1",
        "another   \u221212.25  10",
    ]


def test_a_name_that_leaves_no_room_has_a_line_of_its_own() -> None:
    _, rows = laid_out(["", "n"], [["short", "1"], ["very long name", "2"]], 12)
    assert rows.splitlines() == ["short      1", "very long name", "           2"]


def test_a_terminal_may_claim_to_have_no_columns(command: Command, tmp_path: Path) -> None:
    answer = command(tmp_path, "list", "executors", COLUMNS="0")
    assert (answer.code, answer.err) == (0, "")
    assert "local" in answer.out


@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [("list executors", "0", 0), ("list executors", "1", 0), ("list executors", "2", 0), ("run nowhere", "2", 2)],
)
def test_a_stream_that_the_caller_closed_is_not_missed(tmp_path: Path, words: str, closed: str, code: int) -> None:
    program = f'exec "{Path(sys.executable).with_name("falsewitness")}" {words} {closed}>&-'
    done = subprocess.run(
        ["sh", "-c", program], cwd=tmp_path, env=environment(), text=True, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert ("local" in done.stdout) == (code == 0 and closed != "1")


@pytest.mark.parametrize("words", ["run digits/badnets", "list attacks", "data list", "report runs"])
def test_a_current_folder_that_was_removed_is_told(tmp_path: Path, words: str) -> None:
    (tmp_path / "left").mkdir()
    program = f'cd left && rmdir ../left && exec "{Path(sys.executable).with_name("falsewitness")}" {words}'
    done = subprocess.run(
        ["sh", "-c", program], cwd=tmp_path, env=environment(), text=True, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "falsewitness: the current folder was removed; change to one that exists, then run again\n"


def test_a_terminal_that_lacks_a_sign_gets_another(command: Command, finished: Finished, tmp_path: Path) -> None:
    answer = command(tmp_path, "report", finished.runs, PYTHONIOENCODING="ascii")
    assert (answer.code, answer.err) == (0, "")
    assert "control" in answer.out
    assert answer.out.isascii()
