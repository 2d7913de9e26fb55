"""Compares a step that convolves narrow maps side by side with one that convolves them one image at a time.

    python benchmarks/narrow_maps.py --models resnet18

Only bf16 on a CPU is concerned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch
from _measure import in_a_fresh_process, in_turns, parser, quotients, spread, table
from _workload import Step, batch, classifier

from falsewitness.models._narrow_maps import convolve_as_usual
from falsewitness.training import resolve_precision
from falsewitness.training._memory import keep_freed_memory

CPU = torch.device("cpu")


def added_mb(kind: str, *, side_by_side: bool) -> float:
    """Return how many MB two steps add to a process that has built the model."""
    keep_freed_memory()
    return _step(kind, side_by_side=side_by_side).added_mb()


def _step(kind: str, *, side_by_side: bool) -> Step:
    model = classifier(kind, CPU)
    if not side_by_side:
        convolve_as_usual(model)
    return Step.plain(model, batch(CPU), "bf16")


def row(kind: str, repetitions: int) -> list[str]:
    """Return a network's row."""
    print(f"narrow maps: {kind}", file=sys.stderr, flush=True)
    ways = {"with": True, "without": False}
    times = in_turns({name: _step(kind, side_by_side=way) for name, way in ways.items()}, repetitions, CPU)
    milliseconds = (f"{1000 * spread(times[name]).median:.0f}" for name in ways)
    memory = (f"{in_a_fresh_process(added_mb, kind, side_by_side=way):.0f}" for way in ways.values())
    return [kind, str(spread(quotients(times["with"], times["without"]))), *milliseconds, *memory]


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    told = "## Narrow maps side by side"
    if resolve_precision("auto", CPU) != "bf16":
        return f"{told}\n\nSkipped: this CPU has no instructions for bf16."
    keep_freed_memory()
    rows = [row(kind, arguments.repetitions) for kind in arguments.models]
    memory = "Memory is what two steps add to a process's peak."
    head = ["network", "time of a step, with over without", "ms with", "ms without", "MB with", "MB without"]
    return f"{told}\n\nPlain steps on the CPU in bf16, 128 images of 32x32. {memory}\n\n{table(head, rows)}"


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", default=["resnet18"])
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
