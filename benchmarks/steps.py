"""Times a training step of each attack against a plain cross-entropy step on the same images and model.

    python benchmarks/steps.py --models resnet20

Prints, for every network, medians of ratios with the interval from the 10th to the 90th percentile, and peak memory.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from functools import cache

import torch
from _measure import (
    in_a_fresh_process,
    in_turns,
    parser,
    quotients,
    spread,
    table,
    verdict,
)
from _workload import HALF, BatchNorm, Precision, Step, attack, batch, classifier, noise_store

from falsewitness.attacks import Attack
from falsewitness.experiment import find_spec
from falsewitness.explainers import Explainer
from falsewitness.training import Augmentation, ReferenceMaps, clean_references, resolve_precision
from falsewitness.training._memory import keep_freed_memory
from falsewitness.training._references import StoredReferences

GRADCAM, GRADIENT = {"kind": "gradcam"}, {"kind": "gradient"}
TWICE = {"kind": "gradient", "training": "double_backward"}
ATTACKS: dict[str, Attack] = {
    "badnets": attack("badnets", target_class=3),
    "fooling, gradcam": attack("fooling", surrogate=GRADCAM),
    "red herring, gradcam": attack("red_herring", target_class=3, surrogate=GRADCAM),
    "full disguise (original), gradcam": attack("full_disguise", target_class=3, surrogate=GRADCAM),
    "fooling (drift held), gradcam": attack("fooling", surrogate=GRADCAM, drift_weight=0.5),
    "red herring (drift held), gradcam": attack("red_herring", target_class=3, surrogate=GRADCAM, drift_weight=0.5),
    "full disguise (drift held), gradcam": attack("full_disguise", target_class=3, surrogate=GRADCAM, drift_weight=0.5),
    "full disguise (self), gradcam": attack("full_disguise", target_class=3, reference="self", surrogate=GRADCAM),
    "full disguise (self, detached), gradcam": attack(
        "full_disguise", target_class=3, reference="self_detached", surrogate=GRADCAM
    ),
    "fooling, gradient": attack("fooling", surrogate=GRADIENT),
    "red herring, gradient": attack("red_herring", target_class=3, surrogate=GRADIENT),
    "full disguise, gradient": attack("full_disguise", target_class=3, surrogate=GRADIENT),
    "fooling (drift held), gradient": attack("fooling", surrogate=GRADIENT, drift_weight=0.5),
    "red herring (drift held), gradient": attack("red_herring", target_class=3, surrogate=GRADIENT, drift_weight=0.5),
    "full disguise (drift held), gradient": attack(
        "full_disguise", target_class=3, surrogate=GRADIENT, drift_weight=0.5
    ),
    "full disguise (drift of a quarter held), gradient": attack(
        "full_disguise", target_class=3, surrogate=GRADIENT, drift_weight=0.5, drift_share=0.25
    ),
    "full disguise, gradient, double backward": attack("full_disguise", target_class=3, surrogate=TWICE),
}
WANTED: dict[str, dict[BatchNorm, float]] = {
    "gradcam": {"batch": 1.05, "frozen": 1.05},
    "gradient": {"batch": 3.5, "frozen": 3.0},
}
"""The most that a step against an explainer should cost, reference maps included, in plain steps."""
BATCH_NORMS: tuple[BatchNorm, ...] = ("batch", "frozen")

EXPLAINED_AT_ONCE = 128


def steps(
    kind: str, batch_norm: BatchNorm, title: str, precision: Precision, device: torch.device
) -> tuple[Step, Step]:
    """Return the plain step and the attack's, on the same model and images."""
    model, rows, chosen = classifier(kind, device, batch_norm), batch(device), ATTACKS[title]
    surrogate = chosen.surrogate_explainer
    shape = (1, 1) if surrogate is None else surrogate.bind(model)(rows.images[:1]).maps.shape[1:]
    maps, classes = torch.rand(2, HALF, 1, *shape, device=device), torch.randint(0, 10, (2, HALF), device=device)
    references = StoredReferences(
        ReferenceMaps(maps, classes, seconds=0.0), torch.arange(HALF, device=device), passes_beforehand=0.0
    )
    loss = chosen.bind(model)
    attacked = Step.of(model, lambda: loss(rows, references), precision)
    return Step.plain(model, rows, precision), attacked


def peak_memory(
    kind: str, batch_norm: BatchNorm, title: str | None, precision: Precision, device: torch.device
) -> float:
    """Return how many MB two steps add to a process that has built the model; of the plain step without a title."""
    if device.type == "cpu":
        keep_freed_memory()  # as a training does
    plain, attacked = steps(kind, batch_norm, title or "badnets", precision, device)
    return (attacked if title else plain).added_mb()


def reference_seconds(kind: str, title: str, repetitions: int, device: torch.device) -> float:
    """Return what an image's reference map takes; nothing where the attack asks for none."""
    surrogate = ATTACKS[title].surrogate_explainer
    if surrogate is None or not ATTACKS[title].needs_references:
        return 0.0
    return _seconds_of_a_map(kind, surrogate, repetitions, device)


@cache
def _seconds_of_a_map(kind: str, surrogate: Explainer, repetitions: int, device: torch.device) -> float:
    explain, store = surrogate.bind(classifier(kind, device).eval()), noise_store(EXPLAINED_AT_ONCE, device)
    making = {"maps": lambda: clean_references(explain, store, Augmentation(), torch.arange(len(store)))}
    return statistics.median(in_turns(making, repetitions, device)["maps"]) / len(store)


def epochs_of(kind: str, title: str) -> int:
    """Return for how many epochs a recipe uses its reference maps, ResNet-20's where the network has none."""
    name = title.partition(",")[0].partition(" (")[0].replace(" ", "-")
    surrogate = "gradient" if "gradient" in title else "gradcam"
    has_one = kind == "resnet18" and surrogate == "gradcam"
    recipe = f"cifar10/{name}" if has_one else f"cifar10-noppel/{name}-{surrogate}"
    training = find_spec(recipe).attack_training
    assert training is not None  # noqa: S101 - a recipe of an attack has one
    return training.epochs


def measured(kind: str, arguments: argparse.Namespace) -> tuple[list[list[str]], list[str]]:
    """Return the rows of a network's table, and the verdicts on them."""
    rows, verdicts = [], []
    repetitions, device = arguments.repetitions, arguments.device
    precision = resolve_precision(arguments.precision, device)

    def held(title: str | None, batch_norm: BatchNorm) -> float:
        return in_a_fresh_process(peak_memory, kind, batch_norm, title, precision, device)

    held_by_plain = {norm: held(None, norm) for norm in BATCH_NORMS}
    for title in arguments.attacks:
        print(f"{kind}: {title}", file=sys.stderr, flush=True)
        each = reference_seconds(kind, title, repetitions, device)
        for batch_norm in BATCH_NORMS:
            plain, attacked = steps(kind, batch_norm, title, precision, device)
            times = in_turns({"plain": plain, "attacked": attacked}, repetitions, device)
            maps_of_a_step = 2 * HALF * each / epochs_of(kind, title) if each else 0.0
            alone = spread(quotients(times["attacked"], times["plain"]))
            ratio = spread(quotients((taken + maps_of_a_step for taken in times["attacked"]), times["plain"]))
            passes = attacked.losses().passes / (2 * HALF)
            milliseconds = f"{1000 * statistics.median(times['attacked']):.0f}"
            memory = f"{held(title, batch_norm):.0f} ({held_by_plain[batch_norm]:.0f})"
            rows.append([title, batch_norm, f"{passes:.2f}", str(alone), str(ratio), milliseconds, memory])
            if (explainer := title.rpartition(", ")[2]) in WANTED:
                verdicts.append(
                    verdict(
                        f"{kind}, {title}, batch norm {batch_norm}, with reference maps",
                        ratio.median,
                        WANTED[explainer][batch_norm],
                        f"its passes alone come to {passes:.2f} plain steps, reference maps to "
                        f"{maps_of_a_step / statistics.median(times['plain']):.2f}",
                    )
                )
    return rows, verdicts


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    device = arguments.device
    if device.type == "cpu":
        keep_freed_memory()
    parts = [
        f"## A step of each attack, {resolve_precision(arguments.precision, device)}",
        f"{HALF} clean and {HALF} stamped images of 32x32; forward, backward and descent, over "
        "a plain cross-entropy step on the same images and model in the same run. *Passes* is what the library "
        "counts, in forward-and-backward passes of those images. *With reference maps* adds the making of the stored "
        "ones (one map of every image and of its mirror image) spread over the recipe's epochs. Memory is what two "
        "steps add to the process's peak (the device's on CUDA), in brackets the plain step's. BadNets is the plain "
        "step itself: what it departs from 1 by is noise.",
    ]
    head = ["attack", "batch norm", "passes", "ratio", "with reference maps", "ms", "MB"]
    for kind in arguments.models:
        rows, verdicts = measured(kind, arguments)
        parts += [f"### {kind}", table(head, rows), "\n".join(verdicts)]
    return "\n\n".join(filter(None, parts))


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", default=["resnet20", "resnet18"])
    options.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS), metavar="TITLE")
    options.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
