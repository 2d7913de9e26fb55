"""Compares a step that convolves narrow maps side by side with one that convolves them one image at a time.

    python benchmarks/narrow_maps.py --models resnet18

Only bf16 on a CPU is concerned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch
from _measure import in_turns, parser, quotients, spread, table
from _workload import Step, batch, classifier

from falsewitness.models._narrow_maps import convolve_as_usual
from falsewitness.training import resolve_precision
from falsewitness.training._memory import keep_freed_memory

CPU = torch.device("cpu")


def row(kind: str, repetitions: int) -> list[str]:
    """Return a network's row."""
    print(f"narrow maps: {kind}", file=sys.stderr, flush=True)
    laid, usual = classifier(kind, CPU), classifier(kind, CPU)
    convolve_as_usual(usual)
    steps = {name: Step.plain(model, batch(CPU), "bf16") for name, model in (("laid", laid), ("usual", usual))}
    times = in_turns(steps, repetitions, CPU)
    milliseconds = (f"{1000 * spread(times[name]).median:.0f}" for name in steps)
    return [kind, str(spread(quotients(times["laid"], times["usual"]))), *milliseconds]


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    told = "## Narrow maps side by side"
    if resolve_precision("auto", CPU) != "bf16":
        return f"{told}\n\nSkipped: this CPU has no instructions for bf16."
    keep_freed_memory()
    rows = [row(kind, arguments.repetitions) for kind in arguments.models]
    head = ["network", "time of a step, with over without", "ms with", "ms without"]
    return f"{told}\n\nPlain steps on the CPU in bf16, 128 images of 32x32.\n\n{table(head, rows)}"


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", default=["resnet18"])
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
