"""What the benchmarks share: times taken in turns, their spread, verdicts, tables."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import torch

Given = ParamSpec("Given")
Found = TypeVar("Found")


class Spread(NamedTuple):
    """Median of repetitions, with the interval from the 10th to the 90th percentile."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.low)} to {short(self.high)})"


def short(number: float) -> str:
    """Return a number with three digits that count, and never with an exponent."""
    return f"{number:.3g}" if 1e-4 < abs(number) < 100 else f"{number:.0f}"


def spread(values: Iterable[float]) -> Spread:
    """Summarise repetitions."""
    low, median, high = np.quantile(list(values), [0.1, 0.5, 0.9])
    return Spread(float(median), float(low), float(high))


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """Return how long an action takes, with all that it leaves to the device."""
    _wait_for(device)
    started = time.perf_counter()
    action()
    _wait_for(device)
    return time.perf_counter() - started


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turns(actions: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Time each action once a round, so that what disturbs the machine hits all; a first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            taken = seconds(action, device)
            if number > 0:
                times[name].append(taken)
    return times


def quotients(numerators: Iterable[float], denominators: Iterable[float]) -> list[float]:
    """Return the ratio of each round's times."""
    return [numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True)]


def in_a_fresh_process(function: Callable[Given, Found], *given: Given.args, **named: Given.kwargs) -> Found:
    """Call a function where nothing has been imported, allocated or warmed up."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *given, **named).result()


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory held so far, in MB: the device's on CUDA, else the process's own.

    What getrusage tells of a new process begins with what its parent held; the kernel's status file does not.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak) * 1024 / 1e6


def verdict(what: str, found: float, most: float, otherwise: str) -> str:
    """Say in a line whether a goal is met.

    Args:
        what: Is measured.
        found: The measurement.
        most: What it should be at most.
        otherwise: Why it is more, in a few words, for the case that it is.
    """
    outcome = "met" if found <= most else f"**missed**: {otherwise}"
    return f"- {what}: wanted at most {most:g}, found {short(found)}: {outcome}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def print_for_models(
    description: str | None, section: Callable[[argparse.Namespace], str], words: Sequence[str] | None
) -> None:
    """Print the section of a benchmark that takes the names of networks."""
    options = parser(description)
    options.add_argument("--models", nargs="+", default=["resnet20", "resnet18"])
    print(section(options.parse_args(words)))


def parser(description: str | None, *, repetitions: int = 15) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--repetitions", type=int, default=repetitions, help="rounds that count (default: %(default)s)")
    found.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda (default: %(default)s)")
    return found
