"""Times what a benchmark costs beside its experiments: laying it out, opening its store, handing out its cells.

    python benchmarks/matrix.py
    python benchmarks/matrix.py --repetitions 3 --smoke 1

The cells of the first three are made up: their specs are real, their run folders hold the result of one real cell, and
nothing is trained. ``--smoke`` times the benchmark ``digits-smoke`` itself, with one worker and with two.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from _measure import in_a_fresh_process, parser, peak_memory_mb, quotients, spread, table, verdict

from falsewitness.benchmark import Benchmark, Driver, Prepared, Status, Task, Terms, announced, prepare, survey
from falsewitness.benchmark._benchmark import Budget, Limits
from falsewitness.benchmark._job import TaskResult
from falsewitness.benchmark._matrix import lay_out
from falsewitness.execution import Ended, Executor, Pool
from falsewitness.execution.local import Local
from falsewitness.experiment import find_spec, run

PLANNED, OPENED, HANDED_OUT = 100_000, 10_000, 300
PLANNING_SECONDS, OPENING_SECONDS, OPENING_MB, OVERHEAD_MS, SPEEDUP = 10.0, 3.0, 500.0, 20.0, 1.7
"""The goals."""

FEW = (
    "data.train_limit=200",
    "clean_training.epochs=1",
    "attack_training.epochs=1",
    "evaluation={map_samples: 20, detector_samples: 20, gallery_images: 1}",
)


def made_up(cells: int, seeds: int = 20) -> Benchmark:
    """Return a benchmark of so many cells, its settings at different poison rates and learning rates."""
    settings = cells // seeds
    rates = [round(0.001 * number, 6) for number in range(1, min(settings, 100) + 1)]
    learning = [round(0.001 * number, 6) for number in range(1, settings // len(rates) + 1)]
    axes = {"attack.poison.rate": rates, "attack_training.learning_rate": learning, "seed": list(range(seeds))}
    return Benchmark.parse({"name": "made-up", "base": "digits/badnets", "axes": axes}, "benchmark")


def ready(benchmark: Benchmark, out: Path) -> Prepared:
    """Return it with its tasks."""
    return prepare(
        benchmark,
        [],
        out,
        device=torch.device("cpu"),
        open_data=lambda spec: spec.data.prepare(),
        command="falsewitness bench made-up",
    )


def planning_seconds(cells: int) -> float:
    """Return what laying out so many cells takes; a few go before and load what has to be loaded."""
    lay_out(made_up(100))
    gc.disable()  # as the command line does
    benchmark = made_up(cells)
    started = time.perf_counter()
    lay_out(benchmark)
    return time.perf_counter() - started


def real_results(out: Path) -> dict[str, dict[str, Any]]:
    """Return what a real cell leaves as its result, by role."""
    folders = run(find_spec("digits/badnets", FEW), out)
    return {role: json.loads(folder.result.read_text(encoding="utf-8")) for role, folder in folders.items()}


def leave(task: Task, results: dict[str, dict[str, Any]]) -> None:
    """Leave a result where a task would, and the marker that vouches for it."""
    task.folder.path.mkdir(parents=True, exist_ok=True)
    told = {"train_digest": task.train_digest, "eval_digest": task.eval_digest, "seed": task.spec.seed}
    task.folder.result.write_text(json.dumps(results[task.role] | told, indent=2), encoding="utf-8")
    task.folder.marker("evaluate").write(task.eval_digest, [task.folder.result])


def opening(cells: int, out: Path) -> tuple[float, float]:
    """Return the seconds that opening a store of finished cells takes, and the most memory held by then, in MB."""
    benchmark = made_up(cells)
    lay_out(made_up(100))
    gc.disable()  # as the command line does
    started = time.perf_counter()
    counts = survey(ready(benchmark, out)).counts
    taken = time.perf_counter() - started
    if counts["done"] != cells:
        raise SystemExit(f"expected {cells} finished cells, got {dict(counts)}")
    return taken, peak_memory_mb(torch.device("cpu"))


def bare_memory_mb() -> float:
    """Return what a process holds that has only loaded the program."""
    lay_out(made_up(100))
    return peak_memory_mb(torch.device("cpu"))


class Leaving(Pool):
    """Workers that leave a result at once."""

    def __init__(self, prepared: Prepared, results: dict[str, dict[str, Any]]) -> None:
        self.seconds_of_leaving = 0.0
        self._prepared = prepared
        self._results = results
        self._open: list[str] = []

    @property
    def slots(self) -> int:
        """Two, as on a laptop."""
        return 2

    def submit(self, key: str, function: Callable[..., Any], *arguments: Any, limit: float | None = None) -> None:  # noqa: ANN401
        """Leave the task's result."""
        started = time.perf_counter()
        leave(self._prepared.agenda.tasks[key], self._results)
        self.seconds_of_leaving += time.perf_counter() - started
        self._open.append(key)

    def ended(self, patience: float) -> list[Ended]:
        """Tell that one is done."""
        return [Ended(self._open.pop(0), "done", value=TaskResult("done", ""))]

    def running(self) -> tuple[str, ...]:
        """Tell which are not told of yet."""
        return tuple(self._open)

    def close(self) -> None:
        """Forget them."""
        self._open.clear()


class Hasty(Executor):
    """An executor of such workers."""

    kind: Literal["hasty"] = "hasty"
    shares_disk: ClassVar[bool] = True
    pools: ClassVar[list[Leaving]] = []

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Give the pool made last."""
        yield self.pools[-1]


class Deaf:
    """A listener that does not."""

    def begun(self, task: Task) -> None:
        """Hear nothing."""

    def ended(self, task: Task, found: Status, seconds: float) -> None:
        """Hear nothing."""

    def notice(self, text: str) -> None:
        """Hear nothing."""


def driving_ms(cells: int, results: dict[str, dict[str, Any]]) -> float:
    """Return what the driver takes a cell, with the models that cells share, in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = ready(made_up(cells), Path(folder))
        pool = Leaving(prepared, results)
        Hasty.pools.append(pool)
        terms = Terms(prepared.out, "cpu", Limits(), Budget(), retry_failed=False)
        with announced(prepared.drivers) as announcement:
            started = time.perf_counter()
            Driver(prepared.agenda, terms, Deaf(), announcement).drive(Hasty())
            taken = time.perf_counter() - started
    return 1000 * (taken - pool.seconds_of_leaving) / cells


def calling_ms(calls: int) -> float:
    """Return what a call to an idle local worker takes that does nothing, in milliseconds."""
    with Local().open() as pool:
        pool.submit("first", len, "")
        while not pool.ended(10):
            pass
        started = time.perf_counter()
        for number in range(calls):
            pool.submit(str(number), len, "")
            while not pool.ended(10):
                pass
        return 1000 * (time.perf_counter() - started) / calls


def smoke_seconds(workers: int) -> float:
    """Return what ``digits-smoke`` takes from nothing, start-up and page included, with workers of one thread."""
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-c", "from falsewitness.cli.main import entry; entry()"]
        words = ["bench", "digits-smoke", "--out", folder, "--executor", "{kind: local, threads: 1}"]
        started = time.perf_counter()
        subprocess.run([*program, *words, "--workers", str(workers)], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    rounds = range(arguments.repetitions)
    plans = spread(in_a_fresh_process(planning_seconds, PLANNED) for _ in rounds)
    with tempfile.TemporaryDirectory() as folder:
        results = real_results(Path(folder) / "real")
        store = Path(folder) / "store"
        for task in ready(made_up(OPENED), store).agenda.tasks.values():
            leave(task, results)
        openings = [in_a_fresh_process(opening, OPENED, store) for _ in rounds]
    seconds, memory = (spread(values) for values in zip(*openings, strict=True))
    bare = spread(in_a_fresh_process(bare_memory_mb) for _ in rounds)
    driving = spread(driving_ms(HANDED_OUT, results) for _ in rounds)
    calling = spread(calling_ms(200) for _ in rounds)
    overhead = driving.median + calling.median
    rows = [
        [f"laying out and checking {PLANNED:,} cells, seconds", str(plans)],
        [f"opening a store of {OPENED:,} finished cells, seconds", str(seconds)],
        ["most memory held by then, MB", str(memory)],
        ["the same with the program loaded and nothing opened, MB", str(bare)],
        ["the driver's own work a cell, with the models that cells share, milliseconds", str(driving)],
        ["a call to an idle local worker, milliseconds", str(calling)],
    ]
    verdicts = [
        verdict("planning, seconds", plans.median, PLANNING_SECONDS, "specs are parsed and checked one by one"),
        verdict("opening, seconds", seconds.median, OPENING_SECONDS, "every cell's digests are computed"),
        verdict("opening, MB beyond the program", memory.median - bare.median, OPENING_MB, "cells are held at once"),
        verdict("overhead a cell, milliseconds", overhead, OVERHEAD_MS, "locks and files are waited for"),
    ]
    if arguments.smoke:
        times = [(smoke_seconds(1), smoke_seconds(2)) for _ in range(arguments.smoke)]
        ratio = spread(quotients((one for one, _ in times), (two for _, two in times)))
        rows += [
            ["`digits-smoke`, one worker of one thread, seconds", str(spread(one for one, _ in times))],
            ["`digits-smoke`, two workers of one thread, seconds", str(spread(two for _, two in times))],
            ["one worker over two", str(ratio)],
        ]
        met = (
            "met"
            if ratio.median >= SPEEDUP
            else "**missed**: what cells share is waited for, and start-up is paid twice"
        )
        verdicts.append(f"- two workers over one: wanted at least {SPEEDUP}, found {ratio.median:.2f}: {met}")
    return "\n\n".join(["## Benchmarks of many cells", table(["", ""], rows), "\n".join(verdicts)])


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__, repetitions=5)
    options.add_argument("--smoke", type=int, default=3, help="rounds of digits-smoke (default: %(default)s)")
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
