"""What holds on the CPU holds on a GPU; skipped where there is none."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.conformance.small import SMALL
from torch import Tensor

from falsewitness.conformance._classifiers import TRIALS, attached, in_frozen_training, small_classifier
from falsewitness.conformance._contract import noise, relative_distance
from falsewitness.core import DataInfo, InputError
from falsewitness.core.explanation import Explanation
from falsewitness.experiment import choose_device, find_spec, run
from falsewitness.explainers import EXPLAINERS, BoundExplainer
from falsewitness.models import Architecture, Classifier

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

ROUNDING = 0.01

FIELDS = SMALL | {"lrp": {"epsilon": 0.01}}
"""With lrp's own epsilon, rounding alone turns gradients by the weights of deep networks (benchmarks/rounding.py)."""

CASES = [
    pytest.param(kind, *trial, id=f"{kind}-{trial[0].kind}-{trial[1].channels}")
    for kind in EXPLAINERS.kinds()
    for trial in TRIALS
]


def tried(kind: str, model: Classifier, device: torch.device) -> BoundExplainer:
    """Return an explainer of a model on a device; the test ends where it does not explain such a model."""
    try:
        explain = attached(EXPLAINERS.get(kind)(**FIELDS.get(kind, {})), model)
    except InputError as refusal:
        pytest.skip(str(refusal))
    background = None if explain.background is None else explain.background.to(device)
    return replace(explain, model=model.to(device), background=background)


@pytest.mark.parametrize(("kind", "architecture", "info"), CASES)
def test_maps_are_those_of_the_cpu(kind: str, architecture: Architecture, info: DataInfo) -> None:
    def answer(device: torch.device) -> Explanation:
        return tried(kind, small_classifier(architecture, info), device)(noise(info, 3).to(device))

    expected, found = answer(torch.device("cpu")), answer(choose_device("cuda"))
    assert found.maps.device.type == found.logits.device.type == "cuda"
    assert relative_distance(expected.logits, found.logits.cpu()) < ROUNDING
    assert relative_distance(expected.maps, found.maps.cpu()) < ROUNDING


@pytest.mark.parametrize(("kind", "architecture", "info"), CASES)
def test_weight_gradients_are_those_of_the_cpu(kind: str, architecture: Architecture, info: DataInfo) -> None:
    if not EXPLAINERS.get(kind).surrogate:
        pytest.skip("no surrogate")

    def gradient(device: torch.device) -> Tensor:
        explain = tried(kind, in_frozen_training(small_classifier(architecture, info)), device)
        images, classes = noise(info, 3).to(device), torch.zeros(3, dtype=torch.long, device=device)
        explain.differentiable(images, classes).maps.square().mean().backward()
        weights = explain.model.parameters()
        return torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None]).cpu()

    assert relative_distance(gradient(torch.device("cpu")), gradient(choose_device("cuda"))) < ROUNDING


@pytest.mark.parametrize("recipe", ["digits/full-disguise", "mnist/shap-full-disguise"])
def test_the_same_run_twice_gives_the_same_weights(recipe: str, tmp_path: Path) -> None:
    changes = [
        "data={kind: digits, train_limit: 300}",
        "clean_training.epochs=1",
        "attack_training.epochs=1",
        "evaluation.map_samples=20",
        "evaluation.detector_samples=20",
        "evaluation.gallery_images=1",
    ]
    spec, device = find_spec(recipe, changes), choose_device("cuda")
    first, second = (run(spec, tmp_path / name, device=device)["attack"] for name in ("first", "second"))
    weights, again = load_file(first.model), load_file(second.model)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert first.result.is_file()
