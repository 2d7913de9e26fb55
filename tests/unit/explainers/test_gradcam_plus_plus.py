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

from falsewitness.explainers.gradcam_plus_plus import GradCamPlusPlus
from falsewitness.models import Classifier


def paper_map(activation: Tensor, slopes: Tensor, stabiliser: float = 0.0) -> list[list[float]]:
    """Chattopadhay et al. 2018, equation 19, one sum after the other; powers of the gradient are written out."""
    channels, height, width = activation.shape
    weights = []
    for k in range(channels):
        total_activation = float(activation[k].sum())
        weight = 0.0
        for i in range(height):
            for j in range(width):
                slope = float(slopes[k, i, j])
                if slope == 0:
                    continue
                alpha = slope**2 / (2 * slope**2 + total_activation * slope**3 + stabiliser)
                weight += alpha * max(0.0, slope)
        weights.append(weight)
    heat = [[0.0] * width for _ in range(height)]
    for i in range(height):
        for j in range(width):
            heat[i][j] = max(0.0, sum(weights[k] * float(activation[k, i, j]) for k in range(channels)))
    return heat


def paper_maps(model: Classifier, pixels: Tensor, layer: str | None, stabiliser: float = 0.0) -> Tensor:
    maps = [
        paper_map(*activation_and_slopes(model, image, int(wanted), layer), stabiliser)
        for image, wanted in zip(pixels, CLASSES, strict=True)
    ]
    return torch.tensor(maps, dtype=torch.float64)


@pytest.mark.parametrize("layer", [None, "layers.2", "layers.1", "layers.0.0"])
def test_maps_are_those_of_the_paper(layer: str | None) -> None:
    model, pixels = convnet().double(), images().double()
    maps = GradCamPlusPlus(layer=layer).bind(model)(pixels, CLASSES).maps
    expected = paper_maps(model, pixels, layer)
    assert torch.allclose(maps, expected, rtol=1e-9, atol=1e-12)
    assert maps.max() > 0


def test_the_weights_are_made_of_true_derivatives_of_the_exponential() -> None:
    """Before equation 19 the weights are made of the second and third derivative of exp(logit) by every activation."""
    model, pixels = convnet().double(), images(batch=1).double()
    activation = model.features(pixels).detach().requires_grad_()
    exponential = model.head(activation)[0, 1].exp()
    (first,) = torch.autograd.grad(exponential, activation, create_graph=True)
    channels, height, width = activation.shape[1:]
    heat = torch.zeros(height, width, dtype=torch.float64)
    for k in range(channels):
        weight = 0.0
        for i in range(height):
            for j in range(width):
                (second,) = torch.autograd.grad(first[0, k, i, j], activation, create_graph=True)
                (third,) = torch.autograd.grad(second[0, k, i, j], activation, retain_graph=True)
                order_2, order_3 = second[0, k, i, j].item(), third[0, k, i, j].item()
                alpha = order_2 / (2 * order_2 + activation[0, k].sum().item() * order_3)
                weight += alpha * max(0.0, first[0, k, i, j].item())
        heat += weight * activation[0, k].detach()
    scale = float(exponential.detach())  # left out by ours
    maps = GradCamPlusPlus().bind(model)(pixels, torch.tensor([1])).maps
    assert torch.allclose(maps[0], heat.relu() / scale, rtol=1e-9, atol=1e-12)
    assert maps.max() > 0


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_pytorch_grad_cam_gives_the_same_maps_of_a_network_with_steep_logits(kind: str, layer: str | None) -> None:
    model = network(kind)
    with torch.no_grad():
        model.get_parameter("network.fc.weight").mul_(1000)
    maps = GradCamPlusPlus(layer=layer).bind(model)(images(INFO), CLASSES).maps
    assert (of_pytorch_grad_cam("GradCAMPlusPlus", model, layer) - as_the_library_shows(maps)).abs().max() < 3e-4


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_pytorch_grad_cam_adds_a_stabiliser_that_outweighs_small_gradients(kind: str, layer: str | None) -> None:
    """It adds 1e-6 to a denominator made of squared gradients, which are of that order and below."""
    model = network(kind)
    theirs = of_pytorch_grad_cam("GradCAMPlusPlus", model, layer)
    ours = as_the_library_shows(GradCamPlusPlus(layer=layer).bind(model)(images(INFO), CLASSES).maps)
    spoilt = as_the_library_shows(paper_maps(model, images(INFO), layer, stabiliser=1e-6).float())
    assert (theirs - spoilt).abs().max() < 1e-5
    assert (theirs - ours).abs().max() > 0.02


def test_a_channel_of_which_the_denominator_is_zero_does_not_count() -> None:
    explainer = GradCamPlusPlus()
    activations = torch.tensor([[-1.0, -1.0], [3.0, 1.0], [2.0, 2.0]]).view(1, 3, 1, 2)
    slopes = torch.tensor([[1.0, 2.0], [0.5, 0.0], [-0.5, -0.25]]).view(1, 3, 1, 2)
    # First channel: 2 + 1 * -2 = 0 is left out, 2 + 2 * -2 = -2 counts; third: zero denominators of negative slopes.
    expected = torch.tensor([2.0 / -2, 0.5 / 4, 0.0]).view(1, 3, 1, 1)
    assert torch.equal(explainer._weights(activations, slopes), expected)


def test_zero_denominators_have_a_finite_gradient() -> None:
    activations = torch.tensor([[-1.0, -1.0], [0.0, 0.0]]).view(1, 2, 1, 2).requires_grad_()
    slopes = torch.tensor([[1.0, 1.0], [0.0, 0.0]]).view(1, 2, 1, 2).requires_grad_()
    weights = GradCamPlusPlus()._weights(activations, slopes)
    assert not weights.any()
    for gradient in torch.autograd.grad(weights.sum(), (activations, slopes)):
        assert gradient.isfinite().all()


def test_large_logits_do_not_overflow() -> None:
    model = convnet()
    explain = GradCamPlusPlus().bind(model)
    expected = explain(images(), CLASSES).maps
    with torch.no_grad():
        model.get_parameter("network.fc.bias").fill_(1000)
    assert torch.equal(explain(images(), CLASSES).maps, expected)
