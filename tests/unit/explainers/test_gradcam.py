import copy

import pytest
import torch
from captum.attr import LayerGradCam
from tests.unit.explainers.activation_maps import (
    CLASSES,
    INFO,
    PLACES,
    SMALL,
    as_the_library_shows,
    convnet,
    network,
    of_pytorch_grad_cam,
)
from torch import Tensor, nn

from falsewitness.core import DataInfo
from falsewitness.explainers.gradcam import GradCam
from falsewitness.models import Classifier
from falsewitness.models.resnet20 import ResNet20


def images(batch: int = 4, info: DataInfo = INFO) -> Tensor:
    return torch.rand(batch, 3, info.height, info.width, generator=torch.Generator().manual_seed(0))


def paper_gradcam(model: Classifier, image: Tensor, wanted: int, layer: str) -> list[list[float]]:
    """Selvaraju et al. 2017, equations 1 and 2, one sum after the other."""
    logits, activation = model.with_activation(image[None], layer)
    (slopes,) = torch.autograd.grad(logits[0, wanted], activation)
    activation = activation.detach()
    channels, height, width = activation.shape[1:]
    alphas = []
    for k in range(channels):
        total = 0.0
        for i in range(height):
            for j in range(width):
                total += float(slopes[0, k, i, j])
        alphas.append(total / (height * width))
    heat = [[0.0] * width for _ in range(height)]
    for i in range(height):
        for j in range(width):
            weighted = 0.0
            for k in range(channels):
                weighted += alphas[k] * float(activation[0, k, i, j])
            heat[i][j] = max(0.0, weighted)
    return heat


OBLONG = DataInfo(3, 12, 20, SMALL.class_names)


@pytest.mark.parametrize("info", [SMALL, OBLONG], ids=["square", "oblong"])
@pytest.mark.parametrize("layer", [None, "layers.2", "layers.1", "layers.0.0"])
def test_maps_are_those_of_the_paper(layer: str | None, info: DataInfo) -> None:
    model, pixels = convnet(info).double(), images(3, info).double()
    classes = torch.tensor([2, 0, 1])
    maps = GradCam(layer=layer).bind(model)(pixels, classes).maps
    expected = [
        paper_gradcam(model, image, int(wanted), layer or "layers")
        for image, wanted in zip(pixels, classes, strict=True)
    ]
    assert torch.allclose(maps, torch.tensor(expected, dtype=torch.float64), atol=1e-12)
    assert maps.max() > 0


@pytest.mark.parametrize("layer", [None, "layers.1"])
def test_columns_are_the_maps_of_the_paper_for_every_class(layer: str | None) -> None:
    model, pixels = convnet().double(), images(2, SMALL).double()
    maps = GradCam(layer=layer).bind(model).columns(pixels).maps
    expected = [[paper_gradcam(model, image, wanted, layer or "layers") for wanted in range(4)] for image in pixels]
    assert torch.allclose(maps, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_the_closed_form_is_the_gradient_in_training_mode_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pixels, classes = convnet().double().train(), images(2, SMALL).double(), torch.tensor([3, 1])
    quick = GradCam().bind(model).differentiable(pixels, classes).maps
    monkeypatch.setattr(Classifier, "linear_head", None)
    assert torch.allclose(quick, GradCam().bind(model).differentiable(pixels, classes).maps, rtol=1e-9)
    assert quick.max() > 0


def test_a_network_without_a_linear_head_is_explained_by_gradient() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 4))
    model = Classifier.wrap(module.double().eval(), feature_layer="1", mean=(0.5,), std=(0.5,)).double()
    assert model.linear_head is None
    pixels = images(2, SMALL).double()
    maps = GradCam().bind(model)(pixels, torch.tensor([1, 2])).maps
    expected = [paper_gradcam(model, pixels[0], 1, "1"), paper_gradcam(model, pixels[1], 2, "1")]
    assert torch.allclose(maps, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("layer", ["layer1", "layer2", "layer3.1.conv2", "bn1"])
def test_captum_gives_the_same_maps(layer: str) -> None:
    model = ResNet20().bind(INFO, seed=0)
    classes = torch.tensor([0, 1, 2, 3])
    second_opinion = LayerGradCam(model, model.network.get_submodule(layer))
    expected = second_opinion.attribute(images(), target=classes, relu_attributions=True)[:, 0].detach()
    maps = GradCam(layer=layer).bind(model)(images(), classes).maps
    assert torch.allclose(maps, expected, rtol=1e-4, atol=1e-5 * float(expected.max()))


def test_captum_gives_the_same_map_at_the_last_feature_map() -> None:
    model = ResNet20().bind(INFO, seed=0)
    classes = torch.tensor([0, 1, 2, 3])
    second_opinion = LayerGradCam(model, model.network.get_submodule("layer3"))
    expected = second_opinion.attribute(images(), target=classes, relu_attributions=True)[:, 0].detach()
    assert torch.allclose(GradCam().bind(model)(images(), classes).maps, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_pytorch_grad_cam_gives_the_same_maps_stretched(kind: str, layer: str | None) -> None:
    model = network(kind)
    maps = GradCam(layer=layer).bind(model)(images(), CLASSES).maps
    assert (of_pytorch_grad_cam("GradCAM", model, layer) - as_the_library_shows(maps)).abs().max() < 1e-5


def test_without_classes_the_predicted_class_is_explained() -> None:
    model = convnet()
    explain = GradCam().bind(model)
    predicted = model(images(info=SMALL)).argmax(1)
    answer = explain(images(info=SMALL))
    assert torch.equal(answer.maps, explain(images(info=SMALL), predicted).maps)
    assert not torch.equal(answer.maps, explain(images(info=SMALL), (predicted + 1) % 4).maps)
    assert torch.equal(answer.logits, model(images(info=SMALL)))


def test_a_class_that_no_channel_speaks_for_has_a_map_of_zeros() -> None:
    model = convnet()
    with torch.no_grad():
        model.get_parameter("network.fc.weight")[2] = -1  # features behind a ReLU are never negative
    for layer in (None, "layers.2"):
        maps = GradCam(layer=layer).bind(model)(images(info=SMALL), torch.full((4,), 2)).maps
        assert maps.shape == (4, 3, 3)
        assert not maps.any()


@pytest.mark.parametrize("layer", [None, "layers.1"])
def test_maps_of_half_precision_features_are_computed_in_single(layer: str | None) -> None:
    explain = GradCam(layer=layer).bind(convnet())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = explain(images(info=SMALL))
        trained = explain.differentiable(images(info=SMALL))
    exact = explain(images(info=SMALL), rounded.logits.argmax(1)).maps
    assert rounded.maps.dtype == trained.maps.dtype == torch.float32
    assert (rounded.maps - exact).norm() < 0.06 * exact.norm()


@pytest.mark.parametrize("count", [2, 4, 8])
def test_an_inner_layer_is_trained_rightly_in_bf16_for_few_images_too(count: int) -> None:
    model, explainer, classes = ResNet20().bind(INFO, seed=0), GradCam(layer="layer1.0"), torch.arange(count) % 4

    def weight_gradient(model: Classifier, pixels: Tensor, *, bf16: bool) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            maps = explainer.bind(model).differentiable(pixels, classes).maps
        found = torch.autograd.grad(maps.square().mean(), [*model.parameters()], allow_unused=True)
        return torch.cat([gradient.flatten().double() for gradient in found if gradient is not None])

    rounded = weight_gradient(model, images(count), bf16=True)
    exact = weight_gradient(copy.deepcopy(model).double(), images(count).double(), bf16=False)
    assert torch.nn.functional.cosine_similarity(rounded, exact, dim=0) > 0.99


@pytest.mark.parametrize("layer", [None, "layers.0", "layers.0.0"])
def test_frozen_weights_can_be_explained(layer: str | None) -> None:
    explain = GradCam(layer=layer).bind(convnet())
    expected = explain(images(info=SMALL)).maps
    explain.model.requires_grad_(False)
    assert torch.equal(explain(images(info=SMALL)).maps, expected)


def test_the_pixels_handed_in_get_no_gradient() -> None:
    pixels = images(info=SMALL)
    GradCam(layer="layers.0").bind(convnet())(pixels)
    assert not pixels.requires_grad
    assert pixels.grad is None
