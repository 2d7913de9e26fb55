import shutil
from pathlib import Path

import pytest
from tests.system.conftest import SMALL, Command, Finished, only

MODULE = '''
from typing import Annotated, Literal
from pydantic import Field
from falsewitness.core.explanation import Explanation
from falsewitness.explainers import Explainer

class MyCam(Explainer):
    """The mean of the last feature map, to a power."""
    kind: Literal["my_cam"] = "my_cam"
    power: Annotated[float, Field(gt=0)] = 1.0
    """What the mean is raised to."""
    def _explain(self, subject, images, classes, *, differentiable):
        logits, features = subject.model.with_activation(images, None)
        return Explanation(logits, features.mean(1).relu() ** self.power)
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder that a package is installed into, as ``pip install --target`` leaves it."""
    site = tmp_path / "site"
    metadata = site / "my_plugin-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "my_plugin.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[falsewitness.components]\nexplainers.my_cam = my_plugin:MyCam\n")
    return site


def test_an_installed_explainer_is_listed_and_judges_a_finished_run(
    command: Command, finished: Finished, site: Path, tmp_path: Path
) -> None:
    listed = command(tmp_path, "list", "explainers", PYTHONPATH=str(site))
    assert "  my_cam " in listed.out, listed.err
    shutil.copytree(finished.runs, tmp_path / "runs")
    auditors = "auditors=[{kind: gradcam}, {kind: my_cam, power: 2}]"
    answer = command(tmp_path, "run", "digits/badnets", *SMALL, "--set", auditors, PYTHONPATH=str(site))
    assert answer.code == 0, answer.err
    assert "training" not in answer.out
    assert "\nby my_cam " in answer.out
    assert "kind: my_cam" in (only(tmp_path / "runs", "digits-badnets-*") / "spec.yaml").read_text()


def test_an_installed_explainer_has_a_page(command: Command, site: Path, tmp_path: Path) -> None:
    page = command(tmp_path, "describe", "explainers", "my_cam", PYTHONPATH=str(site)).out
    assert "  power: float, > 0, default 1.0\n      What the mean is raised to.\n" in page


def test_an_installed_package_that_does_not_load_is_named(command: Command, site: Path, tmp_path: Path) -> None:
    (site / "my_plugin.py").write_text("import no_such_module\n")
    answer = command(tmp_path, "list", "explainers", PYTHONPATH=str(site))
    assert answer.code == 2
    assert answer.fault == (
        "entry point explainers.my_cam = my_plugin:MyCam does not load: No module named 'no_such_module'; "
        "mend or uninstall its package"
    )
