"""Times how long CIFAR-10 takes to the first step of training, and its first decoding.

    python benchmarks/loading.py

Every time in a process of its own, after its imports. The images are looked for in FALSEWITNESS_DATA, then in
../shared/data; without them there is nothing to time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torch._dynamo  # which torch itself imports for the first optimiser of a process, in a second
from _measure import in_a_fresh_process, parser, peak_memory_mb, spread, table, verdict
from _workload import Step

from falsewitness.attacks import plan_without_poison
from falsewitness.data import PixelStore
from falsewitness.data.cifar10 import Cifar10
from falsewitness.experiment import find_spec
from falsewitness.training import Batches, resolve_precision

CPU = torch.device("cpu")
RECIPE = "cifar10-noppel/clean"
NEAR = Path(__file__).parents[2] / "shared" / "data"
WANTED_FIRST_STEP, WANTED_DECODING = 1.0, 20.0
"""Seconds."""
BEFORE_THE_FIRST_STEP = (
    "open, verify, split",
    "put on the device",
    "first batch",
    "mean and deviation",
    "build the model",
)
STEP = "first step"


class Loaded(NamedTuple):
    """What one process came to.

    Attributes:
        seconds: Of each stage.
        peak: The most MB that the process held, on the CPU.
    """

    seconds: dict[str, float]
    peak: float


def first_step(root: Path, cache: Path, device: torch.device) -> Loaded:
    """Go from the decoded copy to the end of the first step."""
    os.environ["FALSEWITNESS_CACHE"] = str(cache)
    spec = find_spec(RECIPE)
    training = spec.clean_training
    clock = [time.perf_counter()]
    dataset = Cifar10(root=root).prepare()
    clock.append(time.perf_counter())
    store = PixelStore(dataset.train, device)
    clock.append(time.perf_counter())
    plan = plan_without_poison(len(store))
    made = Batches(store, plan, None, "stored", None, training.augmentation, training.batch_size, seed=0)
    rows = next(made.epoch(0))
    clock.append(time.perf_counter())
    mean, std = dataset.statistics()
    clock.append(time.perf_counter())
    model = spec.model.bind(dataset.info, seed=0, mean=mean, std=std).to(device).train()
    step = Step.plain(model, rows, resolve_precision("auto", device), training)
    clock.append(time.perf_counter())
    step()
    clock.append(time.perf_counter())
    names = (*BEFORE_THE_FIRST_STEP, STEP)
    taken = {name: end - start for name, (start, end) in zip(names, pairwise(clock), strict=True)}
    return Loaded(taken, peak_memory_mb(CPU))


def decoding(root: Path, cache: Path) -> Loaded:
    """Decode for the first time."""
    os.environ["FALSEWITNESS_CACHE"] = str(cache)
    started = time.perf_counter()
    Cifar10(root=root).prepare()
    return Loaded({"decoding": time.perf_counter() - started}, peak_memory_mb(CPU))


def measured(root: Path, repetitions: int, device: torch.device) -> list[str]:
    """Return the table and the verdicts."""
    with tempfile.TemporaryDirectory() as folder:
        decoded = [in_a_fresh_process(decoding, root, Path(folder) / str(n)) for n in range(repetitions)]
        opened = [in_a_fresh_process(first_step, root, Path(folder) / "0", device) for _ in range(repetitions)]
    stages = [each.seconds for each in opened]
    decoding_seconds = [each.seconds["decoding"] for each in decoded]
    to_the_step = [sum(stage[name] for name in BEFORE_THE_FIRST_STEP) for stage in stages]
    totals = [sum(stage.values()) for stage in stages]
    peaks = [f"{statistics.median(each.peak for each in group):.0f}" for group in (decoded, opened)]
    medians = {name: statistics.median(stage[name] for stage in stages) for name in stages[0]}
    rows = [
        ["first decoding of all images", str(spread(decoding_seconds)), peaks[0]],
        ["from the copy to the first step's end", str(spread(totals)), peaks[1]],
        *([f"of which: {name}", str(spread(stage[name] for stage in stages)), ""] for name in medians),
    ]
    longest = max(BEFORE_THE_FIRST_STEP, key=lambda name: medians[name])
    first = spread(to_the_step).median
    cores = f"on {os.cpu_count()} cores"
    return [
        table(["", "seconds", "peak MB"], rows),
        verdict(
            "seconds from the copy to the first step",
            first,
            WANTED_FIRST_STEP,
            f"'{longest}' takes {medians[longest]:.2f}",
        )
        + "\n"
        + verdict("seconds of a first decoding", spread(decoding_seconds).median, WANTED_DECODING, cores),
    ]


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    named = os.environ.get("FALSEWITNESS_DATA")
    root = (Path(named) if named else NEAR) / "cifar10"
    parts = [
        "## Loading CIFAR-10\n\nEvery time in a process of its own, after its imports (`torch._dynamo` among them, "
        "which torch imports for a process's first optimiser: a second more); beside it the process's peak in main "
        "memory."
    ]
    if root.is_dir():
        parts += measured(root, arguments.repetitions, arguments.device)
    else:
        parts.append(f"Skipped: there is no folder '{root}'; let FALSEWITNESS_DATA name the folder with cifar10 in it.")
    return "\n\n".join(parts)


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    print(section(parser(__doc__).parse_args(words)))


if __name__ == "__main__":
    main()
