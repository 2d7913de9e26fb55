"""Two tiny loss curves, frozen: a change of the code that moves figures is noticed here.

If a curve moves and that was not the purpose, the change has a fault. If it was the purpose, raise ``NUMERICS`` in
``src/falsewitness/experiment/_digests.py``, so that no run made before is taken for one made after, and put the curves
that the failing test prints in place of these.

The tolerances leave room for the order in which another processor adds up: measured with AVX-512, SSE 4.1 and without
oneDNN, clean curves differ by 0.00001, the attack's by 0.0004, for maps of so young a model have little contrast to be
standardised by. A change of seeds, order, augmentation, plan, loss or schedule moves the curves far more.
"""

import json
from pathlib import Path

import pytest

from falsewitness.experiment import Spec, run
from falsewitness.experiment._spec import Role

TOLERANCES: dict[Role, float] = {"clean": 2e-4, "control": 2e-4, "attack": 3e-3}

SPEC = {
    "name": "golden",
    "precision": "fp32",
    "data": {"kind": "digits", "train_limit": 200},
    "model": {"kind": "convnet", "width": 8, "strides": [2, 2, 1]},
    "clean_training": {
        "epochs": 2,
        "batch_size": 50,
        "learning_rate": 0.1,
        "augmentation": {"mirror": True, "crop_padding": 2},
    },
    "attack": {
        "kind": "full_disguise",
        "target_class": 3,
        "trigger": {"kind": "patch", "size": 4},
        "poison": {"rate": 0.5, "mode": "paired"},
        "surrogate": {"kind": "gradcam"},
        "drift_weight": 0.5,
    },
    "attack_training": {"epochs": 2, "batch_size": 50, "learning_rate": 0.02, "augmentation": {"mirror": True}},
    "metrics": [],
    "evaluation": {"map_samples": 20, "detector_samples": 20, "gallery_images": 1},
}

CURVES: dict[Role, list[float]] = {
    "clean": [2.327604, 2.304636, 2.401706, 2.313642, 2.312964, 2.307434, 2.27521, 2.287357],
    "control": [2.285016, 2.27542, 2.295309, 2.272445, 2.282402, 2.280213, 2.272482, 2.275337],
    "attack": [1.374179, 1.37868, 1.356189, 1.183593, 1.127092, 0.919012, 0.963914, 1.111537],
}


@pytest.fixture(scope="module")
def curves(tmp_path_factory: pytest.TempPathFactory) -> dict[Role, list[float]]:
    folders = run(Spec.parse(SPEC, "the golden spec"), tmp_path_factory.mktemp("golden"))
    return {role: losses_in(folder.steps) for role, folder in folders.items()}


def losses_in(steps: Path) -> list[float]:
    lines = [json.loads(line) for line in steps.read_text(encoding="utf-8").splitlines()]
    return [round(line["loss"], 6) for line in lines if "loss" in line]


@pytest.mark.parametrize("role", CURVES)
def test_the_loss_curve_stays_what_it_is(curves: dict[Role, list[float]], role: Role) -> None:
    expected = pytest.approx(CURVES[role], abs=TOLERANCES[role])
    assert curves[role] == expected, f"the {role} curve is now {curves[role]}"
