"""Times what a batch takes before the model sees it: order, augmentation, trigger.

    python benchmarks/batching.py

Whole epochs of batches are made without a model, in turns with plain steps of ResNet-20 on as many rows.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Sequence

import torch
from _measure import in_a_fresh_process, in_turns, parser, peak_memory_mb, quotients, spread, table, verdict
from _workload import INFO, Step, classifier, noise_store

from falsewitness.attacks import Batch, plan_without_poison
from falsewitness.experiment import find_spec
from falsewitness.training import Batches, resolve_precision
from falsewitness.training._memory import keep_freed_memory

RECIPE = "cifar10-noppel/full-disguise-gradcam"
STEPS = 3
WANTED = 0.05
"""The most that batching should take, as a share of a step."""


def batches(stage: str, images: int, device: torch.device) -> Batches:
    """Return the batches of the recipe's clean training or of its attack, on noise."""
    spec, store = find_spec(RECIPE), noise_store(images, device)
    attack, training = spec.attack, spec.attack_training
    assert attack is not None and training is not None  # noqa: S101, PT018 - it is the recipe of an attack
    is_attack = stage == "attack"
    augmentation = training.augmentation if is_attack else spec.clean_training.augmentation
    return Batches(
        store=store,
        plan=attack.plan(store.targets, seed=0) if is_attack else plan_without_poison(images),
        stamp=attack.trigger.bind(INFO, device) if is_attack else None,
        stamp_order=attack.poison.stamp,
        target_class=attack.intended.target_class,
        augmentation=augmentation,
        batch_size=training.batch_size if is_attack else spec.clean_training.batch_size,
        seed=0,
    )


def shares(made: Batches, model: str, repetitions: int, device: torch.device) -> tuple[list[float], float, int]:
    """Return batching's share of a step in each round, the seconds of a batch, and its rows."""
    first = next(made.epoch(0))
    step = Step.plain(classifier(model, device), _plain(first), resolve_precision("auto", device))

    def several_steps() -> None:
        for _ in range(STEPS):
            step()

    times = in_turns({"batches": lambda: deque(made.epoch(0), maxlen=0), "steps": several_steps}, repetitions, device)
    of_batch = [taken / made.steps_per_epoch for taken in times["batches"]]
    of_step = [taken / STEPS for taken in times["steps"]]
    return quotients(of_batch, of_step), spread(of_batch).median, len(first.images)


def peak_of_an_epoch(stage: str, images: int, device: torch.device) -> float:
    """Return the most MB that a process, or the device, holds with the images, through an epoch of batches."""
    if device.type == "cpu":
        keep_freed_memory()  # as a training does
    deque(batches(stage, images, device).epoch(0), maxlen=0)
    return peak_memory_mb(device)


def _plain(rows: Batch) -> Batch:
    """Return the batch with images that the settled network knows: noise between 0 and 1."""
    return Batch(torch.rand_like(rows.images), rows.targets, rows.samples, rows.mirrored, rows.unstamped)


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    device = arguments.device
    if device.type == "cpu":
        keep_freed_memory()
    rows, verdicts = [], []
    for stage in ("clean", "attack"):
        made = batches(stage, arguments.images, device)
        found, seconds, count = shares(made, arguments.model, arguments.repetitions, device)
        share = spread(found)
        held = in_a_fresh_process(peak_of_an_epoch, stage, arguments.images, device)
        rows.append([stage, str(count), f"{1000 * seconds:.2f}", str(share), f"{held:.0f}"])
        otherwise = f"a batch of {count} rows takes {1000 * seconds:.1f} ms"
        verdicts.append(verdict(f"batching, {stage} training", share.median, WANTED, otherwise))
    return "\n\n".join(
        [
            f"## Batching\n\nOrder, augmentation and trigger of `{RECIPE}`, as a share of a plain step of "
            f"{arguments.model} on as many rows; an epoch over {arguments.images} images each time. Memory is the "
            "peak of a whole process (of the device on CUDA) with the images and an epoch of batches.",
            table(["training", "rows a batch", "ms a batch", "share of a step", "peak MB"], rows),
            "\n".join(verdicts),
        ]
    )


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__)
    options.add_argument("--model", default="resnet20")
    options.add_argument("--images", type=int, default=45_000)
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
