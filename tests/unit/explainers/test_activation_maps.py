"""What all explainers of the class-activation family have in common."""

from typing import Any

import pytest
import torch
from tests.unit.explainers.activation_maps import CLASSES, INFO, convnet, images, passes_counted
from torch import Tensor, nn

from falsewitness.conformance import check_component
from falsewitness.core import DataInfo, InputError
from falsewitness.core.shapes import Images, Logits
from falsewitness.explainers import Explainer
from falsewitness.explainers.eigencam import EigenCam
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.gradcam_plus_plus import GradCamPlusPlus
from falsewitness.explainers.hirescam import HiResCam
from falsewitness.explainers.layercam import LayerCam
from falsewitness.models import MODELS, Architecture, Classifier

WEIGHTED = [GradCam, GradCamPlusPlus, LayerCam, HiResCam]
ALL = [*WEIGHTED, EigenCam]
REQUIRED_FIELDS: dict[str, dict[str, Any]] = {"timm": {"name": "test_resnet"}}

every = pytest.mark.parametrize("family", ALL, ids=lambda cls: cls.__name__)
every_weighted = pytest.mark.parametrize("family", WEIGHTED, ids=lambda cls: cls.__name__)


@every
def test_inner_layers_keep_the_contract_of_explainers_too(family: Any) -> None:  # noqa: ANN401
    check_component(family(layer="layers.0"))
    check_component(family(layer="layers.1.1"))


@pytest.fixture(params=MODELS.kinds())
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return MODELS.get(request.param)(**REQUIRED_FIELDS.get(request.param, {}))


def test_the_closed_form_is_the_gradient_of_every_network_with_a_linear_head(
    architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = architecture.bind(INFO, seed=0).double().eval()
    pixels = images(INFO, 2).double()
    assert model.linear_head is not None
    quick = [family().bind(model)(pixels, CLASSES[:2]).maps for family in WEIGHTED]
    monkeypatch.setattr(Classifier, "linear_head", None)
    for family, maps in zip(WEIGHTED, quick, strict=True):
        slow = family().bind(model)(pixels, CLASSES[:2]).maps
        assert maps.abs().max() > 0
        assert torch.allclose(maps, slow, rtol=1e-9, atol=1e-9 * float(slow.abs().max())), family


@every_weighted
def test_the_closed_form_needs_no_backward_pass(family: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    model = convnet()
    explain = family().bind(model)
    with passes_counted(model, monkeypatch) as passes:
        assert explain.differentiable(images()).maps.requires_grad
        explain(images())
        explain.columns(images())
    assert passes == {"forward": 3, "backward": 0}


@every
@pytest.mark.parametrize("layer", [None, "layers.1", "layers.0.0"])
def test_a_column_is_the_map_of_its_class(family: Any, layer: str | None) -> None:  # noqa: ANN401
    model = convnet().double()
    explain = family(layer=layer).bind(model)
    pixels = images().double()
    logits, maps = explain.columns(pixels)
    assert torch.equal(logits, model(pixels))
    for number in range(4):
        alone = explain(pixels, torch.full((4,), number)).maps
        assert torch.allclose(maps[:, number], alone, rtol=1e-9, atol=1e-12), number


@pytest.mark.parametrize("number", range(4))
@every
def test_columns_can_be_differentiated_by_the_weights(family: Any, number: int) -> None:  # noqa: ANN401
    for layer in (None, "layers.1"):
        model = convnet().double()
        explain = family(layer=layer).bind(model)
        columns = explain.differentiable_columns(images().double()).maps
        alone = explain.differentiable(images().double(), torch.full((4,), number)).maps
        found, expected = (_weight_gradient(maps, model) for maps in (columns[:, number], alone))
        assert expected.abs().max() > 0
        assert torch.allclose(found, expected, rtol=1e-6, atol=1e-9 * float(expected.abs().max()))


def _weight_gradient(maps: Tensor, model: Classifier) -> Tensor:
    found = torch.autograd.grad(maps.square().sum(), [*model.parameters()], allow_unused=True)
    return torch.cat([gradient.flatten() for gradient in found if gradient is not None])


@every_weighted
def test_columns_of_an_inner_layer_take_one_pass_forward_and_one_back_for_each_class(
    family: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = convnet()
    with passes_counted(model, monkeypatch) as passes:
        family(layer="layers.1").bind(model).columns(images())
    assert passes == {"forward": 1, "backward": 4}


@every_weighted
@pytest.mark.parametrize("layer", [None, "layers.2"])
def test_a_class_that_no_channel_speaks_for_has_a_map_without_positive_values(
    family: Any,  # noqa: ANN401
    layer: str | None,
) -> None:
    model = convnet()
    with torch.no_grad():
        model.get_parameter("network.fc.weight")[2] = -1  # features behind a ReLU are never negative
    maps = family(layer=layer).bind(model)(images(), torch.full((4,), 2)).maps
    assert maps.max() <= 0
    assert bool(maps.any()) == family.signed


@every_weighted
@pytest.mark.parametrize("layer", [None, "layers.1"])
def test_a_model_that_sees_nothing_has_maps_of_zeros(family: Any, layer: str | None) -> None:  # noqa: ANN401
    model = convnet()
    with torch.no_grad():
        model.get_parameter("network.fc.weight").zero_()
    explain = family(layer=layer).bind(model)
    assert not explain(images()).maps.any()
    assert _weight_gradient(explain.differentiable(images()).maps, model).isfinite().all()


@every
def test_an_unknown_layer_is_refused_as_soon_as_a_model_is_there(family: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=r"the model has no layer 'layer2'; did you mean 'layers.2' or 'layers'"):
        family(layer="layer2").bind(convnet())


@every
def test_a_layer_without_feature_maps_is_refused(family: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=r"expected layer 'fc' to give a feature map .*, got shape \(4, 4\)"):
        family(layer="fc").bind(convnet())(images())


class WithASideBranch(nn.Module):
    """A network with a layer that no logit depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3)
        self.aside = nn.Conv2d(4, 2, 1)
        self.fc = nn.Linear(4, 4)

    def forward(self, images: Images) -> Logits:
        features = self.features(images)
        self.aside(features)
        logits: Logits = self.fc(features.amax((2, 3)))
        return logits


@every_weighted
def test_a_layer_that_no_logit_depends_on_is_refused(family: Any) -> None:  # noqa: ANN401
    model = Classifier.wrap(WithASideBranch(), feature_layer="features", mean=(0.5,), std=(0.5,))
    explainer: Explainer = family(layer="aside")
    with pytest.raises(InputError, match=r"expected a layer that the logits are computed from, got 'aside'"):
        explainer.bind(model)(images())
    assert family().bind(model)(images(), CLASSES).maps.any()


def test_a_layers_map_has_the_layers_size() -> None:
    grey = DataInfo(3, 10, 14, ("one", "two", "three", "four"))
    for family in ALL:
        assert family(layer="layers.1").bind(convnet())(images(grey)).maps.shape == (4, 5, 7)
