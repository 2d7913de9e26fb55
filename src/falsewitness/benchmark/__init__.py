"""Benchmarks: a matrix of experiments, worked off by any number of workers, summarised over seeds."""

from falsewitness.benchmark._announcement import announced
from falsewitness.benchmark._benchmark import Benchmark, of_kind
from falsewitness.benchmark._driver import Driver, Listener, Terms
from falsewitness.benchmark._export import FORMATS, export
from falsewitness.benchmark._find import benchmark_names, benchmark_summary, benchmark_text, find_benchmark
from falsewitness.benchmark._rehearsal import expect_feasible
from falsewitness.benchmark._status import Status
from falsewitness.benchmark._survey import Prepared, Survey, prepare, survey
from falsewitness.benchmark._tasks import Task

__all__ = [
    "FORMATS",
    "Benchmark",
    "Driver",
    "Listener",
    "Prepared",
    "Status",
    "Survey",
    "Task",
    "Terms",
    "announced",
    "benchmark_names",
    "benchmark_summary",
    "benchmark_text",
    "expect_feasible",
    "export",
    "find_benchmark",
    "of_kind",
    "prepare",
    "survey",
]
