"""Runs recipes over several seeds, each with a split of its own, and prints their pooled figures as a table.

    python benchmarks/pooled.py digits/badnets digits/fooling digits/red-herring digits/full-disguise --seeds 5

What is there already is not run again. A pooled figure is the mean over the test images of all seeds; beside it stand
the lowest and highest seed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from falsewitness.experiment import choose_device, find_spec, run
from falsewitness.report import Run, read_run

FIGURES = (
    ("clean accuracy", "clean_accuracy", "accuracy", False),
    ("gap to control", "clean_accuracy", "gap_to_control", False),
    ("attack success rate", "attack_success_rate", "attack_success_rate", False),
    ("accuracy under trigger", "robust_accuracy", "robust_accuracy", False),
    ("trigger lift", "trigger_attention", "trigger_lift", True),
    ("excess lift", "trigger_attention", "excess_lift", True),
    ("Pearson to original", "disguise", "pearson", True),
    ("standardised MSE to original", "disguise", "standardised_mse", True),
    ("the same without attack", "disguise", "without_attack_standardised_mse", True),
    ("disguise margin", "disguise_margin", "disguise_margin", True),
    ("the same without attack", "disguise_margin", "without_attack_disguise_margin", True),
    ("standardised MSE to shape", "target_map_distance", "standardised_mse", True),
    ("map detectability (AUROC)", "map_detectability", "auroc", True),
    ("drift (standardised MSE)", "drift", "standardised_mse", True),
)


def pooled(runs: Sequence[Run], metric: str, name: str, auditor: str | None) -> str:
    """Return a figure over all runs as a table cell: mean weighted by samples, lowest and highest run, samples."""
    found = [m for run in runs if (m := run.result.find(metric, name, auditor)) is not None and m.value is not None]
    if not found:
        return "-"
    total = sum(m.n for m in found)
    values = [m.value for m in found if m.value is not None]
    mean = sum(value * m.n for value, m in zip(values, found, strict=True)) / total
    return f"{mean:.3f} ({min(values):.3f} to {max(values):.3f}; n = {total})"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="A.B=VALUE")
    parser.add_argument("--auditor", default="gradcam")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/pooled"))
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    columns = {}
    for recipe in arguments.recipes:
        columns[recipe] = []
        for seed in range(arguments.seeds):
            spec = find_spec(recipe, [f"seed={seed}", f"data.split_seed={seed}", *arguments.changes])
            folders = run(spec, arguments.out, device=device)
            columns[recipe].append(read_run(folders["attack"].path))
            print(f"# {recipe} seed {seed}: {folders['attack'].path}", flush=True)
    print(f"| by {arguments.auditor} | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for title, metric, name, of_maps in FIGURES:
        auditor = arguments.auditor if of_maps else None
        print(f"| {title} | " + " | ".join(pooled(runs, metric, name, auditor) for runs in columns.values()) + " |")


if __name__ == "__main__":
    main()
