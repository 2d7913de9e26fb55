"""Times the evaluation of an attacked model by all metrics and two auditors against an epoch of training.

    python benchmarks/evaluation.py

The models are trained for a few steps only: what their figures are does not matter to what measuring them costs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from _measure import in_a_fresh_process, parser, peak_memory_mb, quotients, seconds, short, spread, table, verdict
from _workload import HALF, Step, batch, classifier

from falsewitness.core import InputError
from falsewitness.experiment import Spec, find_spec, run
from falsewitness.report import read_run
from falsewitness.training import resolve_precision

WANTED = 1.0
"""The most that an evaluation should take, in epochs of the clean model's training."""

FEW = ("data.train_limit=1280", "clean_training.epochs=1", "attack_training.epochs=1")
STEPS = 5


def evaluation_seconds(spec: Spec, out: Path, device: torch.device) -> float:
    """Return what an evaluation takes; models that are there are not trained anew."""
    for marker in out.glob("*/.evaluate-done.json"):
        marker.unlink()
    result = read_run(run(spec, out, device=device)["attack"].path).result
    return float(result.cost["evaluation_seconds"] or 0)


def evaluation_peak(spec: Spec, out: Path, device: torch.device) -> float:
    """Return the most MB that a process which evaluates, or the device, holds."""
    evaluation_seconds(spec, out, device)
    return peak_memory_mb(device)


def epoch_seconds(spec: Spec, images: int, device: torch.device) -> float:
    """Return what an epoch of the clean model takes, from a few of its steps."""
    step = Step.plain(classifier(spec.model.kind, device), batch(device), resolve_precision("auto", device))
    step()
    taken = sum(seconds(step, device) for _ in range(STEPS)) / STEPS
    return taken * images / (2 * HALF)


def rounds(spec: Spec, images: int, arguments: argparse.Namespace) -> tuple[list[float], list[float], float]:
    """Return the seconds of evaluations and of epochs, after a round that warms up and trains, and the peak in MB."""
    evaluations, epochs = [], []
    few = find_spec(arguments.recipe, [*FEW, *arguments.changes])
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.repetitions + 1):
            print(f"evaluation: {number} of {arguments.repetitions}", file=sys.stderr, flush=True)
            evaluations.append(evaluation_seconds(few, Path(folder), arguments.device))
            epochs.append(epoch_seconds(spec, images, arguments.device))
        peak = in_a_fresh_process(evaluation_peak, few, Path(folder), arguments.device)
    return evaluations[1:], epochs[1:], peak


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    title = "## Evaluation"
    spec = find_spec(arguments.recipe, arguments.changes)
    try:
        data = spec.data.prepare()
    except InputError as error:
        return f"{title}\n\nSkipped: {error}"
    images = len(data.train)
    evaluations, epochs, peak = rounds(spec, images, arguments)
    ratio = spread(quotients(evaluations, epochs))
    rows = [
        ["evaluation, seconds", str(spread(evaluations))],
        ["epoch, seconds", str(spread(epochs))],
        ["evaluation over epoch", str(ratio)],
        ["peak of a process that evaluates (of the device on CUDA), MB", f"{peak:.0f}"],
    ]
    auditors = " and ".join(auditor.kind for auditor in spec.auditors)
    told = (
        f"`{arguments.recipe}`: {len(spec.metrics)} metrics, auditors {auditors}, {spec.evaluation.map_samples} map "
        f"samples, {len(data.test)} test images before clean model, control and attacked model; over an epoch of the "
        f"clean model's training, that is {images} images, from the time of {STEPS} steps of it."
    )
    reason = f"it takes {short(spread(evaluations).median)} s"
    return "\n\n".join(
        [f"{title}\n\n{told}", table(["", ""], rows), verdict("evaluation, in epochs", ratio.median, WANTED, reason)]
    )


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__)
    options.add_argument("--recipe", default="cifar10-noppel/full-disguise-gradcam")
    options.add_argument("--set", dest="changes", action="append", default=[], metavar="A.B=VALUE")
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
