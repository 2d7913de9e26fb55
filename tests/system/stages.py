"""Where a run stands, told from its files alone, and a way to stop it there."""

import os
import random
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
    "control",
    "plan",
    "attack training",
    "evaluation",
    "gallery",
    "report",
    "end",
)
"""Of BadNets, in their order: ``plan`` is what comes before its first finished epoch, ``gallery`` all writing after
evaluation, ``end`` what is left to do once the report is there."""

FURTHER = {"start-up": 300, "decoding": 15, "clean model": 100, "control": 60, "plan": 15, "attack training": 60}
"""How many slices a stage takes at the least on a fast machine; the others are short."""

_SLICE_SECONDS = 0.002
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
            return "control"
        if self._touched("runs/clean-*/.lock"):
            return "clean model"
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

    def _touched(self, pattern: str) -> bool:
        return any(path.stat().st_mtime_ns > self.started for path in self.folder.glob(pattern))

    def stopped_in(self, stage: str, moment: float) -> str:
        """Let it go on, slice by slice, until it is in a stage, or beyond it; leave it stopped.

        Args:
            stage: Where to.
            moment: How far into the stage, as a share of what the stage takes at the least.

        Returns:
            Where it stands.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not listens(self.process.pid) or STAGES.index(self.stage()) < STAGES.index(stage):
            assert time.monotonic() < deadline, f"still {self.stage()}"
            self._slice()
        for _ in range(int(moment * FURTHER.get(stage, 3))):
            if self.stage() != stage:
                break
            self._slice()
        return self.stage()

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


def run_for_a_slice(process: int) -> bool:
    """Let a stopped process go on for a moment; returns whether it is stopped again, and has not ended meanwhile."""
    os.kill(process, signal.SIGCONT)
    time.sleep(_SLICE_SECONDS)
    os.kill(process, signal.SIGSTOP)
    while (state := _state_of(process)) not in "Tt":
        if state in "ZX":
            return False
    return True


def _state_of(process: int) -> str:
    status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    return status.rpartition(")")[2].split()[0]


def watch(begin: Begin, folder: Path) -> Watched:
    """Start a run whose decoded data is its own."""
    started = time.time_ns()
    return Watched(folder, begin(folder, *RUN, FALSEWITNESS_CACHE=str(folder / "cache")), started)


def end_at_random(
    begin: Begin, folder: Path, stage: str, number: signal.Signals, chance: random.Random
) -> tuple[str, Answer]:
    """Start a run and end it at a random moment of a stage; tell where it was, and what it answered."""
    run = watch(begin, folder)
    landed = run.stopped_in(stage, chance.random())
    return landed, run.ended_by(number)
