"""Every explainer through one contract; a new one without required fields is picked up by itself."""

from typing import Any

import pytest
import torch

from falsewitness.conformance import check_component
from falsewitness.core import DataInfo, InputError
from falsewitness.explainers import EXPLAINERS, Explainer
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradient import Gradient
from falsewitness.models.convnet import ConvNet

REQUIRED_FIELDS: dict[str, dict[str, Any]] = {}
INFO = DataInfo(3, 16, 16, ("one", "two", "three"))


def default(kind: str) -> Explainer:
    return EXPLAINERS.get(kind)(**REQUIRED_FIELDS.get(kind, {}))


@pytest.mark.parametrize("kind", EXPLAINERS.kinds())
def test_it_keeps_the_contract(kind: str) -> None:
    check_component(default(kind))


@pytest.mark.parametrize(
    "explainer",
    [
        GradCam(layer="layers.0"),
        GradCam(layer="layer2"),
        GradCam(layer="layer3.2.bn2"),
        Gradient(training="double_backward"),
        Gradient(smoothness=2.0, difference_step=0.01),
    ],
    ids=str,
)
def test_its_variants_keep_it_too(explainer: Explainer) -> None:
    check_component(explainer)


@pytest.mark.parametrize("kind", EXPLAINERS.kinds())
def test_only_a_surrogate_is_differentiable(kind: str) -> None:
    explainer = default(kind)
    model = ConvNet(width=4).bind(INFO, seed=0)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    explain = explainer.bind(model, background=images)
    if explainer.surrogate:
        assert explain.differentiable(images).maps.requires_grad
    else:
        with pytest.raises(InputError, match="cannot be a surrogate"):
            explain.differentiable(images)


@pytest.mark.parametrize("kind", EXPLAINERS.kinds())
def test_its_module_is_called_as_it_is(kind: str) -> None:
    cls = EXPLAINERS.get(kind)
    assert cls.__module__.endswith(f".{kind}") or not cls.__module__.startswith("falsewitness.")
