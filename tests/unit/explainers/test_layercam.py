import pytest
import torch
from tests.unit.explainers.activation_maps import (
    CLASSES,
    INFO,
    PLACES,
    activation_and_slopes,
    as_the_library_shows,
    convnet,
    images,
    network,
    of_pytorch_grad_cam,
)
from torch import Tensor

from falsewitness.explainers.layercam import LayerCam


def paper_map(activation: Tensor, slopes: Tensor) -> list[list[float]]:
    """Jiang et al. 2021: each activation has its own weight, relu of its gradient."""
    channels, height, width = activation.shape
    heat = [[0.0] * width for _ in range(height)]
    for i in range(height):
        for j in range(width):
            total = 0.0
            for k in range(channels):
                weight = max(0.0, float(slopes[k, i, j]))
                total += weight * float(activation[k, i, j])
            heat[i][j] = max(0.0, total)
    return heat


@pytest.mark.parametrize("layer", [None, "layers.2", "layers.1", "layers.0.0"])
def test_maps_are_those_of_the_paper(layer: str | None) -> None:
    model, pixels = convnet().double(), images().double()
    maps = LayerCam(layer=layer).bind(model)(pixels, CLASSES).maps
    expected = [
        paper_map(*activation_and_slopes(model, image, int(wanted), layer))
        for image, wanted in zip(pixels, CLASSES, strict=True)
    ]
    assert torch.allclose(maps, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    assert maps.max() > 0


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_pytorch_grad_cam_gives_the_same_maps(kind: str, layer: str | None) -> None:
    model = network(kind)
    maps = LayerCam(layer=layer).bind(model)(images(INFO), CLASSES).maps
    assert (of_pytorch_grad_cam("LayerCAM", model, layer) - as_the_library_shows(maps)).abs().max() < 1e-5
