"""Finds a benchmark by the name of one that ships, or in a file."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from falsewitness.benchmark._benchmark import Benchmark
from falsewitness.experiment import named_after, own_file, read_yaml_file

_LONGEST_SUMMARY = 1000  # bytes


def benchmark_names() -> list[str]:
    """Return the names of the benchmarks in the package, sorted."""
    inside = files("falsewitness.recipes").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in inside if file.name.endswith(".yaml"))


def benchmark_summary(name: str) -> str:
    """Return what a benchmark of the package says of itself in its first line."""
    return _first_line(_shipped(name))


def benchmark_text(name: str) -> str:
    """Return the file of a benchmark of the package, as it is written."""
    return _shipped(name).read_text(encoding="utf-8")


def find_benchmark(name: str) -> Benchmark:
    """Return a benchmark of the package, or the one in a file.

    Args:
        name: Of a benchmark that ships (``digits-smoke``), or a file's path (``mine.yaml``).

    Raises:
        InputError: If there is neither, or the file cannot be read.
        SpecError: With every fault of the benchmark itself; its cells are checked when they are laid out.
    """
    where = f"benchmark '{name}'"
    file = _shipped(name) if name in benchmark_names() else own_file(name, "benchmark", benchmark_names())
    raw = {"name": named_after(name), "summary": _first_line(file), **read_yaml_file(file, where)}
    return Benchmark.parse(raw, where)


def _shipped(name: str) -> Traversable:
    return files("falsewitness.recipes").joinpath(f"{name}.yaml")


def _first_line(file: Traversable | Path) -> str:
    """Return the comment that a file begins with; empty where it begins with none, or is no text."""
    try:
        with file.open("rb") as stream:
            first = stream.readline(_LONGEST_SUMMARY).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return first[1:].strip() if first.startswith("#") else ""
