"""Says what Muon adds to a step of training.

python benchmarks/muon.py --models resnet20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from _measure import in_a_fresh_process, in_turns, print_for_models, quotients, spread, table
from _workload import HALF, USUAL, Step, batch, classifier, mb_of_plain_steps

from falsewitness.training import resolve_precision
from falsewitness.training._memory import keep_freed_memory

OPTIMISERS = {"descent": USUAL, "muon": USUAL.model_copy(update={"muon_learning_rate": 0.1})}
HEAD = ["network", "descent, ms", "with Muon, ms", "ratio", "descent, MB", "with Muon, MB"]


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    device = arguments.device
    precision = resolve_precision("auto", device)
    if device.type == "cpu":
        keep_freed_memory()
    rows = []
    for kind in arguments.models:
        print(f"muon: {kind}", file=sys.stderr, flush=True)
        images = batch(device)
        steps = {
            name: Step.plain(classifier(kind, device), images, precision, settings)
            for name, settings in OPTIMISERS.items()
        }
        times = in_turns(steps, arguments.repetitions, device)
        milliseconds = [str(spread(1000 * taken for taken in times[name])) for name in steps]
        ratio = str(spread(quotients(times["muon"], times["descent"])))
        memory = [
            f"{in_a_fresh_process(mb_of_plain_steps, kind, precision, device, settings):.0f}"
            for settings in OPTIMISERS.values()
        ]
        rows.append([kind, *milliseconds, ratio, *memory])
    told = (
        f"A plain step on {2 * HALF} images of 32x32, in turns: by stochastic gradient descent alone, and with Muon "
        "for convolutions and linear layers. Memory is what two steps add to a process's peak (the device's on CUDA)."
    )
    return f"## Muon\n\n{told}\n\n{table(HEAD, rows)}"


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    print_for_models(__doc__, section, words)


if __name__ == "__main__":
    main()
