"""Times a training step of each attack against a plain cross-entropy step on the same images and model, in one run.

    make bench

Writes benchmarks/RESULTS.md: medians of ratios, with the interval from the 10th to the 90th percentile.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from falsewitness.attacks import ATTACKS, Attack, Batch, Losses
from falsewitness.core import DataInfo
from falsewitness.core.targets import SingleTargets
from falsewitness.experiment._environment import describe_environment
from falsewitness.models import MODELS, Classifier
from falsewitness.training import autocast, resolve_precision
from falsewitness.training._loop import _set_training_mode
from falsewitness.training._references import StoredReferences

INFO = DataInfo(3, 32, 32, tuple(str(number) for number in range(10)))
HALF = 64


def attack(kind: str, **fields: object) -> Attack:
    """Return an attack with the trigger and the share of poisons that all have here."""
    common = {"kind": kind, "trigger": {"kind": "patch"}, "poison": {"rate": 0.5, "mode": "paired"}}
    return ATTACKS.get(kind).parse(common | fields, kind)


def settings() -> dict[str, Attack]:
    """Return what is timed."""
    gradient = {"kind": "gradient"}
    exact = {"kind": "gradient", "training": "double_backward"}
    return {
        "badnets": attack("badnets", target_class=3),
        "fooling, gradcam": attack("fooling", surrogate={"kind": "gradcam"}),
        "full disguise (original), gradcam": attack("full_disguise", target_class=3, surrogate={"kind": "gradcam"}),
        "full disguise (self), gradcam": attack(
            "full_disguise", target_class=3, reference="self", surrogate={"kind": "gradcam"}
        ),
        "full disguise, gradient, finite difference": attack("full_disguise", target_class=3, surrogate=gradient),
        "full disguise, gradient, double backward": attack("full_disguise", target_class=3, surrogate=exact),
    }


def batch(device: torch.device) -> Batch:
    """Return random images: half clean, half stamped."""
    images = torch.rand(2 * HALF, 3, 32, 32, device=device)
    targets = SingleTargets(torch.randint(0, 10, (2 * HALF,), device=device))
    samples = torch.arange(HALF, device=device).repeat(2)
    mirrored = torch.zeros(2 * HALF, dtype=torch.bool, device=device)
    return Batch(images, targets, samples, mirrored, torch.rand(HALF, 3, 32, 32, device=device))


def step(model: Classifier, losses: Callable[[], Losses], device: torch.device, precision: str) -> float:
    """Return the seconds of one forward and backward pass."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    model.zero_grad(set_to_none=True)
    with autocast("bf16" if precision == "bf16" else "fp32", device):
        found = losses()
    torch.stack([term.weight * term.rows.mean() for term in found.terms]).sum().backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Time every attack on ResNet-20, alternating with the plain step so that noise hits both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    precision = resolve_precision("auto", device)
    rows = []
    for batch_norm in ("batch", "frozen"):
        for title, timed in settings().items():
            torch.manual_seed(0)
            model = MODELS.get(arguments.model).parse({"kind": arguments.model}, "model").bind(INFO, seed=0)
            model = model.to(device, memory_format=torch.channels_last)
            _set_training_mode(model, "batch" if batch_norm == "batch" else "frozen")
            data = batch(device)
            size = 8 if "gradcam" in title else 32
            references = StoredReferences(
                torch.rand(2, HALF, size, size, device=device), torch.randint(0, 10, (2, HALF), device=device)
            )
            plain = attack("badnets", target_class=3)
            pairs = [
                (
                    step(model, lambda: plain.losses(data, model, references), device, precision),  # noqa: B023
                    step(model, lambda: timed.losses(data, model, references), device, precision),  # noqa: B023
                )
                for _ in range(arguments.repetitions + 2)
            ][2:]
            ratios = sorted(attacked / cross_entropy for cross_entropy, attacked in pairs)
            tenth = len(ratios) // 10
            milliseconds = 1000 * statistics.median(attacked for _, attacked in pairs)
            rows.append(
                f"| {title} | {batch_norm} | {statistics.median(ratios):.2f} | "
                f"{ratios[tenth]:.2f} to {ratios[-1 - tenth]:.2f} | {milliseconds:.0f} |"
            )
            print(rows[-1], flush=True)
    environment = describe_environment(device, precision)
    arguments.out.write_text(
        "# Cost of a step\n\n"
        f"`make bench`: {arguments.model}, 64 clean and 64 stamped images of 32x32, forward and backward, over a plain "
        "cross-entropy step on the same 128 images in the same run. Stored reference maps.\n\n"
        f"{arguments.repetitions} repetitions, {precision}, {environment['threads']} threads, {environment['device']}, "
        f"torch {environment['packages']['torch']}, Python {platform.python_version()}.\n\n"
        "| attack, surrogate | batch norm | ratio (median) | 10th to 90th percentile | ms |\n|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
