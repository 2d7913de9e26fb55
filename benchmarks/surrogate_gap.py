"""Tells how far the maps that an attack was trained against are from those that an auditor sees.

    python benchmarks/surrogate_gap.py runs/cifar10-noppel-fooling-gradient-24934fd0

A surrogate made of input gradients is trained against through a smooth twin, softplus in place of ReLU. Where the twin
obeys and the network does not, the attack has deceived the twin alone: a larger ``smoothness`` brings the two together.
Validation images under the trigger, each for the class that the network predicts; the twin is given as many draws or
steps as the auditor, so that nothing but smoothness lies between them.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from _measure import table

from falsewitness.attacks import draw_target_map
from falsewitness.attacks._base import ExplanationAttack
from falsewitness.core.maps import mass_share, mse_standardised
from falsewitness.core.shapes import Maps
from falsewitness.data import PixelStore
from falsewitness.experiment import RunFolder, read_spec
from falsewitness.experiment._background import background_for
from falsewitness.explainers._input_gradients import InputGradients
from falsewitness.models import load_classifier

SMOOTHNESS = (4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


def _twin(surrogate: InputGradients, smoothness: float) -> InputGradients:
    """Return the surrogate with another smoothness, and trained against as often drawn as audited."""
    fields = type(surrogate).model_fields
    as_audited = {f"training_{name}": value for name, value in surrogate if f"training_{name}" in fields}
    return surrogate.model_copy(update={"smoothness": smoothness, **as_audited})


def gaps(run: Path, images: int) -> str:
    """Return a table: a row for the network and one for its twin at each smoothness."""
    folder = RunFolder(run)
    spec = read_spec(folder.spec).checked()
    attack = spec.attack
    if not isinstance(attack, ExplanationAttack) or not isinstance(attack.surrogate, InputGradients):
        raise SystemExit(f"{run}: expected an attack on an explainer made of input gradients, got {attack}")
    dataset, cpu = spec.data.prepare(), torch.device("cpu")
    model = load_classifier(folder.model)
    unstamped = PixelStore(dataset.validation).take(torch.arange(images))
    triggered = attack.trigger.bind(dataset.info, cpu)(unstamped)
    altered = (triggered != unstamped).any(1)
    area = altered.sum((1, 2)).clamp_min(1) / altered[0].numel()
    background = background_for(attack.surrogate, dataset, spec.data.split_seed)
    audited = attack.surrogate.bind(model, background=background)(triggered)
    classes = audited.logits.argmax(1)
    shape = attack.intended.target_map
    wanted = None if shape is None else draw_target_map(shape, *audited.maps.shape[1:]).expand_as(audited.maps)

    def row(label: str, maps: Maps) -> list[str]:
        compared = [audited.maps] if wanted is None else [audited.maps, wanted]
        lift = (mass_share(maps, altered, signed=attack.surrogate.signed) / area).mean()
        return [label, f"{lift:.2f}", *(f"{mse_standardised(maps, other).mean():.3f}" for other in compared)]

    rows = [row("the network", audited.maps)]
    for smoothness in SMOOTHNESS:
        trained = " (trained against)" if smoothness == attack.surrogate.smoothness else ""
        twin = _twin(attack.surrogate, smoothness).bind(model, background=background)
        maps = twin.differentiable(triggered, classes).maps.detach()
        rows.append(row(f"twin at {smoothness:g}{trained}", maps))
    head = ["maps of", "trigger lift", "MSE to the network's"]
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
