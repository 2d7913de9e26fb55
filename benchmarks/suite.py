"""Runs every benchmark in a process of its own and writes what they print into one file.

make bench
python benchmarks/suite.py --repetitions 3 --only steps batching --out /tmp/results.md
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from _measure import parser

from falsewitness.core.files import write_text
from falsewitness.experiment._environment import describe_environment
from falsewitness.training import resolve_precision

HERE = Path(__file__).parent
BENCHMARKS = (
    "steps",
    "batching",
    "loading",
    "precision",
    "freed_memory",
    "narrow_maps",
    "evaluation",
    "explainers",
    "accelerator",
)


def printed(name: str, arguments: argparse.Namespace) -> str:
    """Return the section of a benchmark, or that it failed."""
    command = [sys.executable, str(HERE / f"{name}.py"), "--repetitions", str(arguments.repetitions)]
    done = subprocess.run(
        [*command, "--device", str(arguments.device)], stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    return done.stdout.strip() if done.returncode == 0 else f"## {name}\n\n**Failed**, exit code {done.returncode}."


def heading(arguments: argparse.Namespace) -> str:
    """Return where and how everything was measured."""
    found = describe_environment(arguments.device, resolve_precision("auto", arguments.device))
    return (
        "# Benchmarks\n\n`make bench` writes this file. Figures are medians, in brackets the interval from the 10th to "
        f"the 90th percentile, of {arguments.repetitions} repetitions; ratios are of times taken in turns within one "
        "run.\n\n"
        f"{found['device']}, {found['threads']} threads, {found['precision']} where nothing else is said, "
        f"torch {found['packages']['torch']}, Python {found['python']}."
    )


def main(words: Sequence[str] | None = None) -> None:
    """Run, write after each, and fail if one of them did."""
    options = parser(__doc__)
    options.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS, metavar="NAME")
    options.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    arguments = options.parse_args(words)
    sections = [heading(arguments)]
    for name in arguments.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        sections.append(printed(name, arguments))
        write_text(arguments.out, "\n\n".join(sections) + "\n")
    sys.exit(any("**Failed**" in section for section in sections))


if __name__ == "__main__":
    main()
