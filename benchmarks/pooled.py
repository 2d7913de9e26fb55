"""Runs recipes over several seeds and prints their pooled figures as a table.

    python benchmarks/pooled.py digits/badnets digits/fooling digits/red-herring digits/full-disguise --splits 5
    python benchmarks/pooled.py cifar10-noppel/full-disguise-gradcam cifar10-noppel/fooling-gradcam --seeds 3

``--splits`` gives every seed a split of its own; ``--seeds`` keeps the recipe's split. What is there already is not run
again. A pooled figure is the mean over the test images of all seeds (of areas under a curve, the mean of the seeds',
weighted by their images); beside it stand the lowest and highest seed, or of a single seed the 95 % interval.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from falsewitness.experiment import choose_device, find_spec, run
from falsewitness.report import Run, read_run

FIGURES = (
    ("clean accuracy", "clean_accuracy", "accuracy", False),
    ("clean model's accuracy", "clean_accuracy", "clean_model_accuracy", False),
    ("control's accuracy", "clean_accuracy", "control_accuracy", False),
    ("gap to control", "clean_accuracy", "gap_to_control", False),
    ("attack success rate", "attack_success_rate", "attack_success_rate", False),
    ("accuracy under trigger", "robust_accuracy", "robust_accuracy", False),
    ("trigger lift", "trigger_attention", "trigger_lift", True),
    ("excess lift", "trigger_attention", "excess_lift", True),
    ("Pearson to original", "disguise", "pearson", True),
    ("standardised MSE to original", "disguise", "standardised_mse", True),
    ("the same without attack", "disguise", "without_attack_standardised_mse", True),
    ("DSSIM to original", "disguise", "dssim", True),
    ("the same without attack", "disguise", "without_attack_dssim", True),
    ("disguise margin", "disguise_margin", "disguise_margin", True),
    ("the same without attack", "disguise_margin", "without_attack_disguise_margin", True),
    ("standardised MSE to shape", "target_map_distance", "standardised_mse", True),
    ("DSSIM to shape", "target_map_distance", "dssim", True),
    ("map detectability (AUROC)", "map_detectability", "auroc", True),
    ("the same without attack", "map_detectability", "without_attack_auroc", True),
    ("AUROC beyond that", "map_detectability", "excess_auroc", True),
    ("drift (standardised MSE)", "drift", "standardised_mse", True),
    ("drift (DSSIM)", "drift", "dssim", True),
)


def pooled(runs: Sequence[Run], metric: str, name: str, auditor: str | None) -> str:
    """Return a figure over all runs as a table cell: mean weighted by samples, its spread, samples."""
    found = [m for run in runs if (m := run.result.find(metric, name, auditor)) is not None and m.value is not None]
    if not found:
        return "-"
    if len(found) == 1:
        (only,) = found
        interval = "" if only.low is None or only.high is None else f"{only.low:.3f} to {only.high:.3f}; "
        return f"{only.value:.3f} ({interval}n = {only.n})"
    total = sum(m.n for m in found)
    values = [m.value for m in found if m.value is not None]
    mean = sum(value * m.n for value, m in zip(values, found, strict=True)) / total
    return f"{mean:.3f} ({min(values):.3f} to {max(values):.3f}; n = {total})"


def measured(recipe: str, seeds: int, changes: Sequence[str], *, own_splits: bool, out: Path, device: str) -> list[Run]:
    """Run a recipe for several seeds, or read what is there already."""
    runs = []
    for seed in range(seeds):
        split = [f"data.split_seed={seed}"] if own_splits else []
        spec = find_spec(recipe, [f"seed={seed}", *split, *changes])
        folders = run(spec, out, device=choose_device(device))
        runs.append(read_run(folders["attack"].path))
        print(f"# {' '.join([recipe, *changes])} seed {seed}: {folders['attack'].path}", flush=True)
    return runs


def main(words: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    repeated = parser.add_mutually_exclusive_group(required=True)
    repeated.add_argument("--seeds", type=int, default=0, help="seeds on the recipe's split")
    repeated.add_argument("--splits", type=int, default=0, help="seeds, each with the split of its number")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="A.B=VALUE")
    parser.add_argument("--auditor", default="gradcam")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/pooled"))
    arguments = parser.parse_args(words)
    columns = {
        recipe: measured(
            recipe,
            arguments.seeds or arguments.splits,
            arguments.changes,
            own_splits=arguments.splits > 0,
            out=arguments.out,
            device=arguments.device,
        )
        for recipe in arguments.recipes
    }
    print(f"| by {arguments.auditor} | " + " | ".join(columns) + " |")
    print("| --- " * (1 + len(columns)) + "|")
    for title, metric, name, of_maps in FIGURES:
        auditor = arguments.auditor if of_maps else None
        print(f"| {title} | " + " | ".join(pooled(runs, metric, name, auditor) for runs in columns.values()) + " |")


if __name__ == "__main__":
    main()
