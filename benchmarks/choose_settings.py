"""Tries settings of a recipe on the validation images and prints what each comes to: how defaults are chosen.

    python benchmarks/choose_settings.py digits/full-disguise --out /tmp/search --jobs 2 --splits 2 \
        --try attack.explanation_weight="0.5;0.8" --try attack_training.learning_rate="0.02;0.1"

No figure is of test images, every one is of the validation split. ``--detector`` halves it: a detector of maps is
trained on one half, and everything is measured on the other. Figures are not kept, models are: ``falsewitness run``
with the chosen settings, ``--set seed=K --set data.split_seed=K`` and the same ``--out`` takes those of split ``K``.
"""

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from falsewitness.core import FalsewitnessError, InputError
from falsewitness.data import Dataset, Split
from falsewitness.experiment import Spec, choose_device, find_spec
from falsewitness.experiment._evaluate import evaluate
from falsewitness.experiment._reporter import Silent
from falsewitness.experiment._run_folder import RunFolder
from falsewitness.experiment._train import ensure_trained
from falsewitness.experiment._workplace import Workplace

SHOWN = {
    ("clean_accuracy", "accuracy"): "accuracy",
    ("attack_success_rate", "attack_success_rate"): "ASR",
    ("robust_accuracy", "robust_accuracy"): "acc. triggered",
    ("disguise", "standardised_mse"): "MSE original",
    ("disguise", "without_attack_standardised_mse"): "without attack",
    ("target_map_distance", "standardised_mse"): "MSE shape",
    ("trigger_attention", "trigger_lift"): "lift",
    ("trigger_attention", "excess_lift"): "excess",
    ("trigger_rank", "excess_trigger_rank"): "excess rank",
    ("drift", "standardised_mse"): "drift",
}
DETECTOR = {("map_detectability", "auroc"): "AUROC", ("map_detectability", "excess_auroc"): "excess AUROC"}


def shown(*, detector: bool) -> dict[tuple[str, str], str]:
    """Return the figures that a row has, with their titles."""
    return SHOWN | DETECTOR if detector else SHOWN


def held_out(dataset: Dataset, *, detector: bool) -> Dataset:
    """Return the data with validation images in the place of the test images."""
    validation = dataset.validation
    if not detector:
        return dataclasses.replace(dataset, test=validation)
    first, second = (
        Split(validation.images[start::2], validation.targets.select(torch.arange(start, len(validation), 2)), rows)
        for start, rows in enumerate((validation.rows[::2], validation.rows[1::2]))
    )
    return dataclasses.replace(dataset, validation=first, test=second)


def spec_of(recipe: str, changes: Sequence[str], split: int, *, detector: bool) -> Spec:
    """Return one setting's spec on one split.

    Raises:
        SpecError: If it does not fit.
        InputError: If it has several auditors, of which figures would be mixed.
    """
    metrics = sorted({f"{{kind: {metric}}}" for metric, _ in shown(detector=detector)})
    fixed = [f"seed={split}", f"data.split_seed={split}", f"metrics=[{', '.join(metrics)}]"]
    spec = find_spec(recipe, [*fixed, "auditors=[{kind: gradcam}]", *changes]).checked()
    if len(spec.auditors) != 1:
        raise InputError(f"auditors: expected one, got {len(spec.auditors)}")
    return spec


def attempt(
    recipe: str, changes: Sequence[str], split: int, out: Path, device: str, *, detector: bool
) -> dict[str, float]:
    """Train one setting on one split and return its figures on the validation images."""
    try:
        spec = spec_of(recipe, changes, split, detector=detector)
        work = Workplace(spec, spec.data.prepare(), out, choose_device(device), Silent())
        clean = ensure_trained(work, "clean", None)
        attacked = ensure_trained(work, "attack", clean)
        judged = dataclasses.replace(work, dataset=held_out(work.dataset, detector=detector))
        with TemporaryDirectory() as folder:
            found_in = RunFolder(Path(folder))
            evaluate(judged, {"clean": clean, "attack": attacked}, "attack", found_in, attacked.folder)
            result = json.loads(found_in.result.read_text(encoding="utf-8"))
    except FalsewitnessError as error:
        print(f"# {' '.join(changes)} split {split}: {error}", flush=True)
        return {}
    found = {(m["metric"], m["name"]): m["value"] for m in result["measurements"] if m["samples"] == "all"}
    return {label: found[key] for key, label in shown(detector=detector).items() if found.get(key) is not None}


def averaged(rows: Sequence[dict[str, float]], splits: int) -> Iterator[str]:
    """Yield every figure's mean over the splits that have it, and how many these are where not all have."""
    for label in dict.fromkeys(label for row in rows for label in row):
        values = [row[label] for row in rows if label in row]
        of = "" if len(values) == splits else f" (of {len(values)} splits in {splits})"
        yield f"{label} {sum(values) / len(values):.4f}{of}"


def main(words: Sequence[str] | None = None) -> None:
    """Run the grid and print one row a setting, averaged over the splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--try", dest="axes", action="append", default=[], metavar="A.B=V1;V2")
    parser.add_argument("--set", dest="fixed", action="append", default=[], metavar="A.B=V")
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--detector", action="store_true", help="train a detector of maps on half of the images")
    parser.add_argument("--jobs", type=int, default=1, help="settings tried at once; they share torch's threads")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/search"))
    arguments = parser.parse_args(words)
    if arguments.splits < 1:
        parser.error(f"--splits: expected at least 1, got {arguments.splits}")
    tried = [axis.partition("=") for axis in arguments.axes]
    settings = list(itertools.product(*([f"{key}={value}" for value in values.split(";")] for key, _, values in tried)))
    try:
        choose_device(arguments.device)
        for setting in settings:
            spec_of(arguments.recipe, [*arguments.fixed, *setting], 0, detector=arguments.detector)
    except FalsewitnessError as error:
        parser.error(str(error))
    with ProcessPoolExecutor(
        arguments.jobs,
        mp_context=get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(max(1, torch.get_num_threads() // arguments.jobs),),
    ) as pool:
        waiting = [
            [
                pool.submit(
                    attempt,
                    arguments.recipe,
                    [*arguments.fixed, *setting],
                    split,
                    arguments.out,
                    arguments.device,
                    detector=arguments.detector,
                )
                for split in range(arguments.splits)
            ]
            for setting in settings
        ]
        for setting, futures in zip(settings, waiting, strict=True):
            rows = [row for row in (future.result() for future in futures) if row]
            print(" ".join(setting), "|", " ".join(averaged(rows, arguments.splits)), flush=True)


if __name__ == "__main__":
    main()
