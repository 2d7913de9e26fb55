"""Every explainer through one contract; a new one without required fields is picked up by itself."""

import pytest
import torch
from tests.conformance.small import SMALL

from falsewitness.conformance import check_component
from falsewitness.conformance._classifiers import SmallTransformer
from falsewitness.core import DataInfo, InputError
from falsewitness.explainers import EXPLAINERS, Explainer
from falsewitness.explainers.eigencam import EigenCam
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradcam_plus_plus import GradCamPlusPlus
from falsewitness.explainers.gradient import Gradient
from falsewitness.explainers.hirescam import HiResCam
from falsewitness.explainers.layercam import LayerCam
from falsewitness.explainers.lrp import Lrp
from falsewitness.explainers.relevance_cam import RelevanceCam
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 16, 16, ("one", "two", "three"))


def default(kind: str) -> Explainer:
    return EXPLAINERS.get(kind)(**SMALL.get(kind, {}))


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
        GradCamPlusPlus(layer="layer2"),
        LayerCam(layer="layers.0"),
        HiResCam(layer="layer2"),
        EigenCam(layer="layer2"),
        RelevanceCam(layer="layer2"),
        pytest.param(Lrp(composite="epsilon"), marks=pytest.mark.slow),
        pytest.param(Lrp(composite="epsilon_alpha1_beta0_box"), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_its_variants_keep_it_too(explainer: Explainer) -> None:
    check_component(explainer)


@pytest.mark.parametrize("kind", EXPLAINERS.kinds())
def test_only_a_surrogate_is_differentiable(kind: str) -> None:
    explainer = default(kind)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    try:
        explain = explainer.bind(ConvNet(width=4).bind(INFO, seed=0), background=images)
    except InputError:  # it is for transformers
        explain = explainer.bind(SmallTransformer().bind(INFO, seed=0), background=images)
    if explainer.surrogate:
        assert explain.differentiable(images).maps.requires_grad
    else:
        with pytest.raises(InputError, match="cannot be a surrogate"):
            explain.differentiable(images)


@pytest.mark.parametrize("kind", EXPLAINERS.kinds())
def test_its_module_is_called_as_it_is(kind: str) -> None:
    cls = EXPLAINERS.get(kind)
    assert cls.__module__.endswith(f".{kind}") or not cls.__module__.startswith("falsewitness.")
