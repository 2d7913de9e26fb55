"""Tells how far the maps that an attack was trained against are from those that an auditor sees.

    python benchmarks/surrogate_gap.py runs/cifar10-noppel-fooling-gradient-24934fd0

A surrogate made of input gradients is trained against through a smooth twin, softplus in place of ReLU. Where the twin
obeys and the network does not, the attack has deceived the twin alone: a larger ``smoothness`` brings the two together.
Validation images under the trigger, each for the class that the network predicts.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from _measure import table

from falsewitness.attacks import draw_target_map
from falsewitness.attacks._base import ExplanationAttack
from falsewitness.core.maps import mse_standardised
from falsewitness.core.shapes import Maps
from falsewitness.data import PixelStore
from falsewitness.experiment import RunFolder, read_spec
from falsewitness.explainers._input_gradients import InputGradients
from falsewitness.models import load_classifier

SMOOTHNESS = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


def gaps(run: Path, images: int) -> str:
    """Return a table: a row for the network and one for its twin at each smoothness."""
    folder = RunFolder(run)
    spec = read_spec(folder.spec).checked()
    attack = spec.attack
    if not isinstance(attack, ExplanationAttack) or not isinstance(attack.surrogate, InputGradients):
        raise SystemExit(f"{run}: expected an attack on an explainer made of input gradients, got {attack}")
    dataset, cpu = spec.data.prepare(), torch.device("cpu")
    model = load_classifier(folder.model)
    triggered = attack.trigger.bind(dataset.info, cpu)(PixelStore(dataset.validation).take(torch.arange(images)))
    audited = attack.surrogate.bind(model)(triggered)
    classes = audited.logits.argmax(1)
    shape = attack.intended.target_map
    wanted = None if shape is None else draw_target_map(shape, *audited.maps.shape[1:]).expand_as(audited.maps)

    def row(label: str, maps: Maps) -> list[str]:
        compared = [audited.maps] if wanted is None else [audited.maps, wanted]
        return [label, *(f"{mse_standardised(maps, other).mean():.3f}" for other in compared)]

    rows = [row("the network", audited.maps)]
    for smoothness in SMOOTHNESS:
        surrogate = attack.surrogate.model_copy(update={"smoothness": smoothness})
        trained = " (trained against)" if smoothness == attack.surrogate.smoothness else ""
        maps = surrogate.bind(model).differentiable(triggered, classes).maps.detach()
        rows.append(row(f"twin at {smoothness:g}{trained}", maps))
    head = ["maps of", "MSE to the network's"]
    return table(head if wanted is None else [*head, f"MSE to the {shape}"], rows)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--images", type=int, default=200)
    arguments = parser.parse_args(words)
    for run in arguments.runs:
        print(f"{run}\n\n{gaps(run, arguments.images)}\n", flush=True)


if __name__ == "__main__":
    main()
