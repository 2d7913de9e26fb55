"""Compares training with and without keeping the memory that a step has freed.

    python benchmarks/freed_memory.py --models resnet20

Every round starts one process of each kind; each makes some plain steps.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import NamedTuple

import torch
from _measure import in_a_fresh_process, parser, peak_memory_mb, quotients, seconds, spread, table
from _workload import Step, batch, classifier

from falsewitness.training import resolve_precision
from falsewitness.training._memory import keep_freed_memory

CPU = torch.device("cpu")


class Process(NamedTuple):
    """What one process came to.

    Attributes:
        seconds: Median of its steps.
        peak: MB.
    """

    seconds: float
    peak: float


def trained(kind: str, steps: int, *, keeping: bool) -> Process:
    """Return what some steps cost in this process."""
    if keeping:
        keep_freed_memory()
    step = Step.plain(classifier(kind, CPU), batch(CPU), resolve_precision("auto", CPU))
    times = [seconds(step, CPU) for _ in range(steps + 2)][2:]
    return Process(statistics.median(times), peak_memory_mb(CPU))


def row(kind: str, steps: int, repetitions: int) -> list[str]:
    """Return a network's row."""
    kept, given_back = [], []
    for number in range(repetitions):
        print(f"freed memory: {kind}, {number + 1} of {repetitions}", file=sys.stderr, flush=True)
        kept.append(in_a_fresh_process(trained, kind, steps, keeping=True))
        given_back.append(in_a_fresh_process(trained, kind, steps, keeping=False))
    ratio = spread(quotients((each.seconds for each in kept), (each.seconds for each in given_back)))
    peaks = (f"{statistics.median(each.peak for each in group):.0f}" for group in (kept, given_back))
    return [kind, str(ratio), *peaks]


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    told = "## Keeping freed memory"
    if not keep_freed_memory():
        return f"{told}\n\nSkipped: the C library does not take the settings."
    rows = [row(kind, arguments.steps, arguments.repetitions) for kind in arguments.models]
    head = ["network", "time of a step, with over without", "peak MB with", "without"]
    text = "Plain steps on the CPU in processes of their own, which keep what a step has freed or give it back."
    return f"{told}\n\n{text}\n\n{table(head, rows)}"


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", default=["resnet20", "resnet18"])
    options.add_argument("--steps", type=int, default=8, help="steps a process (default: %(default)s)")
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
