"""A package of somebody else's adds an explainer: nothing of ours knows it beforehand."""

import json
import os
import subprocess
import sys
from pathlib import Path

MODULE = '''
from typing import ClassVar, Literal

from falsewitness.core.explanation import Explanation
from falsewitness.explainers import Explainer


class Brightness(Explainer):
    """The image itself: bright pixels matter."""

    kind: Literal["brightness"] = "brightness"

    contrast: float = 1.0
    """What pixels are multiplied with."""

    def _explain(self, subject, images, classes, *, differentiable):
        return Explanation(subject.model(images), self.contrast * images.mean(1))
'''

PROGRAM = """
import json
import torch
from falsewitness.core import SpecError, describe_fields
from falsewitness.experiment import find_spec
from falsewitness.explainers import EXPLAINERS

spec = find_spec("digits/clean", ["auditors=[{kind: gradcam}, {kind: brightness, contrast: 2.0}]"])
model = spec.model.bind(spec.data.info(), seed=0)
images = torch.rand(2, 1, 32, 32)
try:
    find_spec("digits/clean", ["auditors=[{kind: brightnes}]"])
except SpecError as error:
    typo = str(error)
print(json.dumps({
    "kinds": EXPLAINERS.kinds(),
    "fields": [field["name"] for field in describe_fields(EXPLAINERS.get("brightness"))],
    "plain": spec.plain()["auditors"][1],
    "explains": bool(torch.allclose(spec.auditors[1].bind(model)(images).maps, 2 * images[:, 0])),
    "typo": typo,
}))
"""


def test_an_installed_package_adds_an_explainer_to_every_spec(tmp_path: Path) -> None:
    described = tmp_path / "their_package-1.0.dist-info"
    described.mkdir()
    (tmp_path / "their_package.py").write_text(MODULE)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(
        "[falsewitness.components]\nexplainers.brightness = their_package:Brightness\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"brightness", "gradcam"} <= set(found["kinds"])
    assert found["fields"] == ["contrast"]
    assert found["plain"] == {"kind": "brightness", "contrast": 2.0}
    assert found["explains"]
    assert "auditors[0]: there is no kind 'brightnes'; did you mean 'brightness'?" in found["typo"]
