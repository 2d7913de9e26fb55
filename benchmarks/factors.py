"""Changes one field of a recipe at a time and prints what each change does to the attack, over several seeds.

    python benchmarks/factors.py cifar10-noppel/full-disguise-gradcam --seeds 2 \\
        --try "attack.explanation_weight=0.5;0.95" --try "attack.reference=self;self_detached" \\
        --try "attack_training.batch_norm=frozen" --try "attack.start=scratch"

The first row is the recipe as it is. What is there already is not run again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pooled import measured, pooled

from falsewitness.core import RunFailedError

COLUMNS = (
    ("gap to control", "clean_accuracy", "gap_to_control", False),
    ("ASR", "attack_success_rate", "attack_success_rate", False),
    ("MSE to original", "disguise", "standardised_mse", True),
    ("MSE to own clean map", "disguise", "own_standardised_mse", True),
    ("drift", "drift", "standardised_mse", True),
    ("excess lift", "trigger_attention", "excess_lift", True),
    ("margin", "disguise_margin", "disguise_margin", True),
    ("AUROC", "map_detectability", "auroc", True),
)


def main(words: Sequence[str] | None = None) -> None:
    """Run and print a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--try", dest="factors", action="append", default=[], metavar="A.B=V1;V2")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="A.B=V", help="in every row")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--auditor", default="gradcam")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs/factors"))
    arguments = parser.parse_args(words)
    tried = [(key, values.split(";")) for key, values in (factor.split("=", 1) for factor in arguments.factors)]
    settings = [[], *([f"{key}={value}"] for key, values in tried for value in values)]
    print("| changed | " + " | ".join(title for title, *_ in COLUMNS) + " |")
    print("| --- " * (1 + len(COLUMNS)) + "|")
    for setting in settings:
        changes = [*arguments.changes, *setting]
        try:
            runs = measured(
                arguments.recipe,
                arguments.seeds,
                changes,
                own_splits=False,
                out=arguments.out,
                device=arguments.device,
            )
        except RunFailedError as error:
            print(f"| {' '.join(setting)} | {error} |" + " |" * (len(COLUMNS) - 1), flush=True)
            continue
        cells = [
            pooled(runs, metric, name, arguments.auditor if of_maps else None) for _, metric, name, of_maps in COLUMNS
        ]
        print(f"| {' '.join(setting) or 'nothing'} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
