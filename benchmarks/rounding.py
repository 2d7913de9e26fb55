"""Tells how far rounding alone moves an explainer's maps and their gradients by the weights: can it be trained against?

    python benchmarks/rounding.py runs/clean-XXXXXXXX --explainer gradcam "{kind: lrp, epsilon: 0.01}"

The pixels of validation images are changed by their last digit. Where gradients move by a good part of their length, it
is rounding that decides what an attack learns from them. The model is in evaluation mode, as with frozen batch norm.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from _measure import table
from torch import Tensor

from falsewitness.conformance._contract import relative_distance
from falsewitness.core.shapes import Images, Maps
from falsewitness.data import PixelStore
from falsewitness.experiment import RunFolder, read_spec
from falsewitness.experiment._background import background_for
from falsewitness.experiment._written_explainer import written_explainer
from falsewitness.explainers import Explainer
from falsewitness.models import load_classifier


def distances(run: Path, explainers: Sequence[str], count: int) -> str:
    """Return a table: how far maps and their gradients move, over their length, a row an explainer as it is written."""
    folder = RunFolder(run)
    spec = read_spec(folder.spec).checked()
    dataset = spec.data.prepare()
    images = PixelStore(dataset.validation).take(torch.arange(count))
    rounded = images.nextafter(torch.ones_like(images))
    with torch.no_grad():
        classes = load_classifier(folder.model)(images).argmax(1)

    def answers(explainer: Explainer, shown: Images) -> tuple[Maps, Tensor]:
        model = load_classifier(folder.model)
        explain = explainer.bind(model, background=background_for(explainer, dataset, spec.data.split_seed))
        maps = explain.differentiable(shown, classes).maps
        maps.square().mean().backward()
        gradients = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
        return maps.detach(), torch.cat(gradients)

    rows = []
    for text in explainers:
        explainer = written_explainer(text)
        pairs = zip(answers(explainer, images), answers(explainer, rounded), strict=True)
        rows.append([f"`{text}`", *(f"{relative_distance(first, second):.1e}" for first, second in pairs)])
    return table(["explainer", "map", "gradient by the weights"], rows)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a trained model")
    parser.add_argument(
        "--explainer", nargs="+", default=["gradcam", "gradient", "lrp"], help="a kind, or its fields in YAML"
    )
    parser.add_argument("--images", type=int, default=16)
    arguments = parser.parse_args(words)
    print(distances(arguments.run, arguments.explainer, arguments.images))


if __name__ == "__main__":
    main()
