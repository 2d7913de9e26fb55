import pytest
import torch
from tests.unit.explainers.activation_maps import CLASSES, INFO, PLACES, convnet, images, network
from torch import Tensor

from falsewitness.explainers.eigencam import EigenCam, _first_component


def paper_map(activation: Tensor) -> Tensor:
    """Muhammad and Yeasin 2020: O = U S V', the map is O v_1; v_1 by the power method instead of a decomposition."""
    channels, height, width = activation.shape
    table = torch.stack([activation[:, i, j] for i in range(height) for j in range(width)])
    direction = torch.ones(channels, dtype=table.dtype)
    for _ in range(5000):
        direction = table.T @ (table @ direction)
        direction = direction / direction.norm()
    projection = table @ direction
    if projection.sum() < 0:
        projection = -projection
    return projection.view(height, width)


@pytest.mark.parametrize("layer", [None, "layers.2", "layers.1", "layers.0.0", "layers.2.1"])
def test_maps_are_those_of_the_paper(layer: str | None) -> None:
    model, pixels = convnet().double(), images().double()
    maps = EigenCam(layer=layer).bind(model)(pixels).maps
    activations = model.with_activation(pixels, layer)[1].detach()
    expected = torch.stack([paper_map(activation) for activation in activations])
    assert torch.allclose(maps, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_scikit_learn_projects_on_the_same_axis(kind: str, layer: str | None) -> None:
    from sklearn.decomposition import TruncatedSVD

    model = network(kind)
    maps = EigenCam(layer=layer).bind(model)(images(INFO)).maps
    activations = model.with_activation(images(INFO), layer)[1].detach()
    for activation, heat in zip(activations, maps, strict=True):
        table = activation.flatten(1).T.numpy()
        projection = TruncatedSVD(1, algorithm="arpack", random_state=0).fit_transform(table)[:, 0]
        expected = torch.from_numpy(projection).abs()
        assert torch.allclose(heat.flatten(), expected, rtol=1e-3, atol=1e-4 * float(expected.max()))


@pytest.mark.parametrize(("kind", "layer"), PLACES)
def test_pytorch_grad_cam_gives_the_same_map_of_centred_channels_but_for_its_sign(kind: str, layer: str | None) -> None:
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    activations = network(kind).with_activation(images(INFO), layer)[1].detach()
    theirs = torch.from_numpy(get_2d_projection(activations.numpy()))
    centred = _first_component(activations - activations.mean((2, 3), keepdim=True))
    assert torch.allclose(centred.abs(), theirs.abs(), rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))
    # A map of centred channels adds up to zero, so that half of what lights up is where the layer gives least.
    assert theirs.sum((1, 2)).abs().max() < 1e-3 * theirs.abs().sum((1, 2)).max()


@pytest.mark.parametrize("layer", [None, "layers.1", "layers.0"])
def test_behind_a_relu_no_value_is_negative_but_for_rounding(layer: str | None) -> None:
    maps = EigenCam(layer=layer).bind(convnet())(images()).maps
    assert maps.max() > 0
    assert maps.min() > -1e-5 * maps.max()


def test_the_sign_is_that_of_a_positive_sum_also_where_outputs_are_negative() -> None:
    activations = -images()
    assert (_first_component(activations).sum((1, 2)) > 0).all()
    assert torch.allclose(_first_component(activations), _first_component(-activations), rtol=1e-4)


def test_the_map_is_the_same_for_every_class() -> None:
    explain = EigenCam().bind(convnet())
    expected = explain(images()).maps
    assert torch.equal(explain(images(), CLASSES).maps, expected)
    assert torch.equal(explain.columns(images()).maps, expected[:, None].expand(-1, 4, -1, -1))


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(2, 3, 2, 4), (2, 9, 2, 2), (1, 1, 3, 3), (1, 5, 1, 1), (2, 4, 2, 2)])
def test_its_gradient_is_that_of_finite_differences(shape: tuple[int, ...]) -> None:
    assert torch.autograd.gradcheck(_first_component, (features(*shape).requires_grad_(),))


def test_its_gradient_is_right_where_the_smaller_singular_values_agree() -> None:
    """Silent channels do that in almost every network; a decomposition by torch has no gradient there."""
    silent = features(1, 6, 2, 3)
    silent[:, 3:] = 0
    assert torch.autograd.gradcheck(_first_component, (silent.requires_grad_(),))
    table = silent.flatten(2).mT
    _, _, axes = torch.linalg.svd(table, full_matrices=False)
    (fragile,) = torch.autograd.grad((table @ axes[:, 0, :, None]).sum(), silent)
    assert not fragile.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_and_empty_layers_have_a_finite_gradient(value: float) -> None:
    flat = torch.full((2, 4, 3, 3), value).requires_grad_()
    maps = _first_component(flat)
    (gradient,) = torch.autograd.grad(maps.square().sum(), flat)
    assert gradient.isfinite().all()
    assert torch.allclose(maps, torch.full_like(maps, 2 * value))


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 9, 2, 2)])
def test_tiny_and_huge_activations_have_the_same_map_but_for_its_scale(shape: tuple[int, ...]) -> None:
    activations = features(*shape).float()
    expected = _first_component(activations)
    for scale in (1e-25, 1e25):
        assert torch.allclose(_first_component(activations * scale) / scale, expected, rtol=1e-4)


def test_two_equal_largest_singular_values_have_a_finite_gradient() -> None:
    twins = torch.eye(4).view(1, 4, 2, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(_first_component(twins).square().sum(), twins)
    assert gradient.isfinite().all()


def test_what_is_not_finite_shows_in_the_map() -> None:
    spoilt = features(2, 3, 2, 2)
    spoilt[0, 1, 0, 0] = torch.nan
    spoilt[1, 1, 0, 0] = torch.inf
    assert not _first_component(spoilt).isfinite().all((1, 2)).any()


def test_no_image_at_all_gives_no_map() -> None:
    assert _first_component(features(0, 3, 2, 4)).shape == (0, 2, 4)
    assert EigenCam().bind(convnet()).differentiable(images(), None, torch.arange(0)).maps.shape == (0, 3, 3)
