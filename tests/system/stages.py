"""Where a run stands, told from its files alone, and a way to stop it there."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.system.conftest import Answer, Begin, end_of
from tests.system.runs import RUN

STAGES = (
    "start-up",
    "decoding",
    "clean model",
    "clean evaluation",
    "control",
    "control evaluation",
    "plan",
    "attack training",
    "evaluation",
    "gallery",
    "report",
    "end",
)
"""Of BadNets, in their order: ``plan`` is what comes before its first finished epoch, ``gallery`` all writing after
evaluation, ``end`` what is left to do once the report is there."""

_SLICE_SECONDS = 0.002
_COARSE_SLICE_SECONDS = 0.01
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Watched:
    """A run of BadNets in a process of its own.

    Attributes:
        folder: Where it was started; its decoded data lies there, too.
        process: The run.
        started: When, in nanoseconds.
    """

    folder: Path
    process: "subprocess.Popen[str]"
    started: int

    def stage(self) -> str:
        """The stage that it is in; only what this process has touched counts."""
        if self._touched("runs/digits-badnets-*/report.html"):
            return "end"
        if self._touched("runs/digits-badnets-*/.lock"):
            return self._stage_of_attack()
        if self._touched("runs/control-*/.lock"):
            return "control evaluation" if self._is_trained("control") else "control"
        if self._touched("runs/clean-*/.lock"):
            return "clean evaluation" if self._is_trained("clean") else "clean model"
        return "decoding" if self._touched("cache/data/.*.partial/copy") else "start-up"

    def _stage_of_attack(self) -> str:
        (attack,) = (self.folder / "runs").glob("digits-badnets-*")
        if (attack / ".evaluate-done.json").exists():
            return "report"
        if self._touched("runs/digits-badnets-*/.evaluate.partial"):
            return "gallery"
        if (attack / ".train-done.json").exists():
            return "evaluation"
        return "attack training" if (attack / "checkpoint.safetensors").exists() else "plan"

    def _is_trained(self, role: str) -> bool:
        return any(self.folder.glob(f"runs/{role}-*/.train-done.json"))

    def _touched(self, pattern: str) -> bool:
        return any(path.stat().st_mtime_ns > self.started for path in self.folder.glob(pattern))

    def stopped_in(self, stage: str, seconds: float) -> str:
        """Let it go on, slice by slice, until it is in a stage, or beyond it; leave it stopped.

        Args:
            stage: Where to.
            seconds: How far into the stage, in seconds of computing.

        Returns:
            Where it stands.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not listens(self.process.pid) or STAGES.index(self.stage()) < STAGES.index(stage):
            assert time.monotonic() < deadline, f"still {self.stage()}"
            self._slice()
        begun = _seconds_computed(self.process.pid)
        while self.stage() == stage and _seconds_computed(self.process.pid) - begun < seconds:
            self._slice()
        return self.stage()

    def seconds_in_each_stage(self) -> dict[str, float]:
        """Let it go on to its end, slice by slice; tell how long it computes in each stage at the least."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not listens(self.process.pid):
            self._slice()
        found, goes_on = dict.fromkeys(STAGES, 0.0), True
        while goes_on:
            assert time.monotonic() < deadline, f"still {self.stage()}"
            stage, before = self.stage(), _seconds_computed(self.process.pid)
            goes_on = run_for_a_slice(self.process.pid, _COARSE_SLICE_SECONDS)
            found[stage] += _seconds_computed(self.process.pid) - before
        assert end_of(self.process).code == 0
        # A slice is counted where it begins, and a tick may be.
        uncertain = _COARSE_SLICE_SECONDS + 1 / _TICKS_A_SECOND
        return {stage: max(0.0, seconds - uncertain) for stage, seconds in found.items()}

    def _slice(self) -> None:
        goes_on = run_for_a_slice(self.process.pid)
        assert goes_on, f"the command ended first: {end_of(self.process)}"

    def ended_by(self, number: signal.Signals) -> Answer:
        """Send it a signal, let it go on and wait for its end."""
        os.kill(self.process.pid, number)
        os.kill(self.process.pid, signal.SIGCONT)
        return end_of(self.process)


def listens(process: int) -> bool:
    """Tell whether a command has come to our own code: Python by itself does not catch what terminates a process."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    (caught,) = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def run_for_a_slice(process: int, seconds: float = _SLICE_SECONDS) -> bool:
    """Let a stopped process go on for a moment; returns whether it is stopped again, and has not ended meanwhile."""
    os.kill(process, signal.SIGCONT)
    time.sleep(seconds)
    os.kill(process, signal.SIGSTOP)
    while (state := _status_of(process)[0]) not in "Tt":
        if state in "ZX":
            return False
    return True


def _seconds_computed(process: int) -> float:
    """Return what a process has computed so far: unlike the time on a clock it does not depend on what else runs."""
    user, system = _status_of(process)[11:13]
    return (int(user) + int(system)) / _TICKS_A_SECOND


def _status_of(process: int) -> list[str]:
    """Return what the system tells of a process, from its state on."""
    status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    return status.rpartition(")")[2].split()


def watch(begin: Begin, folder: Path) -> Watched:
    """Start a run whose decoded data is its own."""
    started = time.time_ns()
    return Watched(folder, begin(folder, *RUN, FALSEWITNESS_CACHE=str(folder / "cache")), started)


def end_in(begin: Begin, folder: Path, stage: str, seconds: float, number: signal.Signals) -> tuple[str, Answer]:
    """Start a run and end it so many seconds of computing into a stage; tell where it was, and what it answered."""
    run = watch(begin, folder)
    landed = run.stopped_in(stage, seconds)
    return landed, run.ended_by(number)
