"""Compares the training speed of bf16 with that of fp32.

python benchmarks/precision.py --models resnet20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from _measure import in_a_fresh_process, in_turns, print_for_models, quotients, spread, table
from _workload import HALF, Precision, Step, batch, classifier, mb_of_plain_steps

from falsewitness.training._memory import keep_freed_memory

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    device = arguments.device
    if device.type == "cpu":
        keep_freed_memory()
    rows = []
    for kind in arguments.models:
        print(f"precision: {kind}", file=sys.stderr, flush=True)
        model, images = classifier(kind, device), batch(device)
        times = in_turns(
            {precision: Step.plain(model, images, precision) for precision in PRECISIONS}, arguments.repetitions, device
        )
        rates = [str(spread(2 * HALF / taken for taken in times[precision])) for precision in PRECISIONS]
        ratio = str(spread(quotients(times["fp32"], times["bf16"])))
        memory = [f"{in_a_fresh_process(mb_of_plain_steps, kind, precision, device):.0f}" for precision in PRECISIONS]
        rows.append([kind, *rates, ratio, *memory])
    return "\n\n".join(
        [
            f"## Precision\n\nA plain step on {2 * HALF} images of 32x32, in turns; memory is what two steps add to a "
            "process's peak (the device's on CUDA).",
            table(["network", "fp32, images/s", "bf16, images/s", "bf16 over fp32", "MB, fp32", "MB, bf16"], rows),
        ]
    )


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    print_for_models(__doc__, section, words)


if __name__ == "__main__":
    main()
