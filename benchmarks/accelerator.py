"""Times training on a GPU: images a second, the share of the card's peak that this is, seconds an epoch.

python benchmarks/accelerator.py --device cuda
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import torch
from _measure import in_turns, parser, short, spread, table
from _workload import HALF, Step, batch, classifier
from torch.utils.flop_counter import FlopCounterMode

from falsewitness.training import resolve_precision

SIDE = 8192
"""Rows and columns of the matrices whose product shows the card's peak."""

STEPS = 20
EPOCH = 45_000
"""Images that CIFAR-10 leaves for training."""


def operations(step: Step) -> int:
    """Return the floating-point operations of a step."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    title, device = "## On a GPU", arguments.device
    if device.type != "cuda":
        return f"{title}\n\nSkipped: the device is '{device}'; `--device cuda` measures a GPU."
    precision = resolve_precision("auto", device)
    step = Step.plain(classifier(arguments.model, device), batch(device), precision)
    left, right = (torch.rand(SIDE, SIDE, device=device, dtype=torch.bfloat16) for _ in range(2))

    def several_steps() -> None:
        for _ in range(STEPS):
            step()

    def several_products() -> None:
        for _ in range(STEPS):
            left @ right

    times = in_turns({"steps": several_steps, "products": several_products}, arguments.repetitions, device)
    each = [taken / STEPS for taken in times["steps"]]
    peak = spread(2 * SIDE**3 * STEPS / taken for taken in times["products"]).median
    reached = spread(operations(step) / taken for taken in each)
    rows = [
        ["images a second", str(spread(2 * HALF / taken for taken in each))],
        ["seconds an epoch", str(spread(taken * math.ceil(EPOCH / (2 * HALF)) for taken in each))],
        ["operations a second, 10^12", short(reached.median / 1e12)],
        [f"the same of a product of two {SIDE}x{SIDE} matrices in bf16", short(peak / 1e12)],
        ["share of that peak", short(reached.median / peak)],
    ]
    told = (
        f"Plain steps of {arguments.model} on {2 * HALF} images of 32x32 in {precision}, {STEPS} in a row; an epoch is "
        f"{EPOCH} images. Operations as torch counts them."
    )
    return f"{title}\n\n{told}\n\n{table(['', torch.cuda.get_device_name(device)], rows)}"


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__)
    options.add_argument("--model", default="resnet18")
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
