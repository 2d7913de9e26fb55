import pytest
import torch
from captum.attr import LayerGradCam
from tests.unit.explainers.activation_maps import (
    CLASSES,
    INFO,
    PLACES,
    activation_and_slopes,
    as_the_library_shows,
    convnet,
    images,
    module_of,
    network,
    of_pytorch_grad_cam,
)
from torch import Tensor

from falsewitness.core import DataInfo
from falsewitness.explainers.gradcam import GradCam
from falsewitness.explainers.hirescam import HiResCam
from falsewitness.models import Classifier
from falsewitness.models.resnet20 import ResNet20


def paper_map(activation: Tensor, slopes: Tensor) -> list[list[float]]:
    """Draelos and Carin 2020: the element-wise product of gradient and feature map, added up over the channels."""
    channels, height, width = activation.shape
    heat = [[0.0] * width for _ in range(height)]
    for i in range(height):
        for j in range(width):
            for k in range(channels):
                heat[i][j] += float(slopes[k, i, j]) * float(activation[k, i, j])
    return heat


@pytest.mark.parametrize("layer", [None, "layers.2", "layers.1", "layers.0.0"])
def test_maps_are_those_of_the_paper(layer: str | None) -> None:
    model, pixels = convnet().double(), images().double()
    maps = HiResCam(layer=layer).bind(model)(pixels, CLASSES).maps
    expected = [
        paper_map(*activation_and_slopes(model, image, int(wanted), layer))
        for image, wanted in zip(pixels, CLASSES, strict=True)
    ]
    assert torch.allclose(maps, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    assert maps.min() < 0 < maps.max()


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_pytorch_grad_cam_gives_the_same_positive_part(kind: str, layer: str | None) -> None:
    model = network(kind)
    maps = HiResCam(layer=layer).bind(model)(images(INFO), CLASSES).maps
    assert (of_pytorch_grad_cam("HiResCAM", model, layer) - as_the_library_shows(maps)).abs().max() < 1e-5


@pytest.mark.parametrize("kind", ["convnet", "resnet20"])
def test_captums_grad_cam_is_the_same_at_the_last_feature_map_before_it_is_cut_off(kind: str) -> None:
    model = network(kind)
    second_opinion = LayerGradCam(model, module_of(model, None))
    expected = second_opinion.attribute(images(INFO), target=CLASSES, relu_attributions=False)[:, 0].detach()
    maps = HiResCam().bind(model)(images(INFO), CLASSES).maps
    assert torch.allclose(maps, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_its_positive_part_is_grad_cam_at_the_last_feature_map_but_not_below() -> None:
    model, pixels = convnet(), images()
    assert torch.equal(HiResCam().bind(model)(pixels).maps.relu(), GradCam().bind(model)(pixels).maps)
    below = HiResCam(layer="layers.1").bind(model)(pixels).maps.relu()
    assert not torch.allclose(below, GradCam(layer="layers.1").bind(model)(pixels).maps, rtol=0.1)


def test_a_map_adds_up_to_the_logit_without_its_bias() -> None:
    info = DataInfo(3, 16, 16, ("one", "two", "three", "four"))
    model: Classifier = ResNet20().bind(info, seed=0).double()
    logits, maps = HiResCam().bind(model).columns(images(info).double())
    head = model.linear_head
    assert head is not None
    assert torch.allclose(maps.sum((2, 3)), logits - head.bias.detach(), rtol=1e-9)
