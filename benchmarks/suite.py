"""Runs every benchmark in a process of its own; each writes its section of one file.

make bench
python benchmarks/suite.py --only steps batching

Sections that are not run anew, cannot be here, or fail, stay as they are: each says where and when it was measured.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from _measure import parser

from falsewitness.core.files import write_text
from falsewitness.experiment._environment import describe_environment
from falsewitness.training import resolve_precision

HERE = Path(__file__).parent
OF_RECIPES = (
    "badnets",
    "fooling (drift held), gradcam",
    "red herring (drift held), gradcam",
    "full disguise (drift held), gradcam",
    "full disguise (self), gradcam",
    "fooling (drift held), gradient",
    "red herring (drift held), gradient",
    "full disguise (drift of a quarter held), gradient",
)
"""The steps that recipes make: of the larger network the others would take an hour."""
BENCHMARKS = {
    "steps": ("steps.py", "--models", "resnet20"),
    "steps_resnet18": ("steps.py", "--models", "resnet18", "--attacks", *OF_RECIPES),
    "steps_fp32": ("steps.py", "--models", "resnet20", "--precision", "fp32"),
    "batching": ("batching.py",),
    "loading": ("loading.py",),
    "precision": ("precision.py",),
    "muon": ("muon.py",),
    "freed_memory": ("freed_memory.py",),
    "narrow_maps": ("narrow_maps.py",),
    "evaluation": ("evaluation.py",),
    "explainers": ("explainers.py",),
    "accelerator": ("accelerator.py",),
}
"""What each section is written by."""
HEADING = (
    "# Benchmarks\n\n`make bench` writes this file, `python benchmarks/suite.py --only NAME` one section of it. "
    "Figures are medians, in brackets the interval from the 10th to the 90th percentile; ratios are of times taken in "
    "turns within one run. What they say, and what was aimed at: [docs/speed.md](../docs/speed.md)."
)
_MARK = re.compile(r"^<!-- (\w+) -->$", re.MULTILINE)


def measured(name: str, arguments: argparse.Namespace) -> str:
    """Return the section of a benchmark, with where and when it was measured; empty if it failed."""
    words = [*BENCHMARKS[name], "--repetitions", str(arguments.repetitions), "--device", str(arguments.device)]
    done = subprocess.run(
        [sys.executable, str(HERE / words[0]), *words[1:]], stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        print(f"{name} failed, exit code {done.returncode}; its section stays as it was", file=sys.stderr)
        return ""
    return f"{done.stdout.strip()}\n\n*`python benchmarks/{shlex.join(words)}`, {_place(arguments)}.*"


def _was_skipped(section: str) -> bool:
    """Tell whether a benchmark said that it cannot be measured here."""
    return "\n\nSkipped: " in section


def _place(arguments: argparse.Namespace) -> str:
    found = describe_environment(arguments.device, resolve_precision("auto", arguments.device))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {found['device']}, {found['threads']} threads, {found['precision']} where "
        f"nothing else is said, torch {found['packages']['torch']}, Python {found['python']}"
    )


def sections_of(text: str) -> dict[str, str]:
    """Return what the file holds of each benchmark."""
    _, *parts = _MARK.split(text)
    return {name: section.strip() for name, section in zip(parts[::2], parts[1::2], strict=True)}


def laid_out(sections: Mapping[str, str]) -> str:
    """Return the file: heading and sections, in the order of the benchmarks."""
    parts = [f"<!-- {name} -->\n{sections[name]}" for name in BENCHMARKS if name in sections]
    return "\n\n".join([HEADING, *parts]) + "\n"


def main(words: Sequence[str] | None = None) -> None:
    """Run, write after each, and fail if one of them did."""
    options = parser(__doc__)
    options.set_defaults(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    options.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), metavar="NAME")
    options.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    arguments = options.parse_args(words)
    sections = sections_of(arguments.out.read_text(encoding="utf-8")) if arguments.out.is_file() else {}
    failed = False
    for name in arguments.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        section = measured(name, arguments)
        if section and not (_was_skipped(section) and name in sections):
            sections[name] = section
            write_text(arguments.out, laid_out(sections))
        failed = failed or not section
    sys.exit(failed)


if __name__ == "__main__":
    main()
