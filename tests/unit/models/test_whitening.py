import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.models import Architecture, Classifier, whiten_first_convolution
from falsewitness.models._whitening import LEAST_VARIANCE
from falsewitness.models.convnet import ConvNet
from falsewitness.models.resnet18 import ResNet18
from falsewitness.models.resnet20 import ResNet20

INFO = DataInfo(3, 12, 12, ("one", "other"))
PATCH = 3 * 3 * 3


def smooth_images(count: int = 400) -> Tensor:
    """Images whose neighbouring pixels are alike, as those of photographs are."""
    noise = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 5, stride=1) + 0.1 * noise[:, :, 2:14, 2:14]


def first_filters(model: Classifier) -> Tensor:
    first = next(module for module in model.network.modules() if isinstance(module, nn.Conv2d))
    return first.weight.detach().clone()


def answers_on_patches(filters: Tensor, images: Tensor) -> Tensor:
    """What every filter answers on each whole patch of a 3x3 grid, ``[filters, patches]``, pixel by pixel."""
    answers = [
        (filters.double() * images[index, :, row : row + 3, column : column + 3].double()).sum((1, 2, 3))
        for index in range(len(images))
        for row in range(0, 12, 3)
        for column in range(0, 12, 3)
    ]
    return torch.stack(answers, dim=1)


def patches_of(images: Tensor) -> Tensor:
    """Return the whole patches of a 3x3 grid, ``[pixels of a patch, patches]``."""
    return answers_on_patches(torch.eye(PATCH).view(PATCH, 3, 3, 3), images)


@pytest.mark.parametrize("architecture", [ResNet18(), ResNet20(), ConvNet(width=16)])
def test_the_first_filters_answer_without_correlation_and_with_like_strength(architecture: Architecture) -> None:
    model, images = architecture.bind(INFO, seed=0), smooth_images()
    whiten_first_convolution(model, images)
    filters = first_filters(model)
    pairs = min(PATCH, len(filters) // 2)
    answers = answers_on_patches(filters[:pairs], model.normalised(images))
    variances = torch.linalg.eigvalsh(patches_of(model.normalised(images)).cov()).flip(0)[:pairs]
    torch.testing.assert_close(answers.cov(), (variances / (variances + LEAST_VARIANCE)).diag(), rtol=0, atol=2e-3)
    assert answers.var(1).min() > 0.8
    torch.testing.assert_close(filters[pairs : 2 * pairs], -filters[:pairs])


def test_random_filters_are_far_from_white() -> None:
    model, images = ResNet18().bind(INFO, seed=0), smooth_images()
    correlations = answers_on_patches(first_filters(model)[:PATCH], model.normalised(images)).corrcoef()
    assert (correlations - torch.eye(PATCH)).abs().max() > 0.8


def test_filters_beyond_the_pairs_stay_random() -> None:
    model = ResNet18().bind(INFO, seed=0)
    before = first_filters(model)
    whiten_first_convolution(model, smooth_images())
    assert torch.equal(first_filters(model)[2 * PATCH :], before[2 * PATCH :])


def test_few_filters_take_the_directions_of_most_variance() -> None:
    model, images = ConvNet(width=2).bind(INFO, seed=0), smooth_images()
    whiten_first_convolution(model, images)
    (direction, _) = F.normalize(first_filters(model).flatten(1)).double()
    patches = patches_of(model.normalised(images))
    largest = torch.linalg.eigvalsh(patches.cov())[-1]
    torch.testing.assert_close((direction @ patches).var(), largest, rtol=1e-3, atol=0)


def test_a_direction_without_variance_is_not_blown_up() -> None:
    model = ResNet18().bind(INFO, seed=0)
    whiten_first_convolution(model, torch.full((10, 3, 12, 12), 0.5))
    assert first_filters(model)[: 2 * PATCH].flatten(1).norm(dim=1).max() <= 1.001 / LEAST_VARIANCE**0.5


class NoConvolution(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_a_network_that_begins_otherwise_is_refused() -> None:
    model = Classifier(NoConvolution(), mean=(0.5,), std=(0.5,), info=INFO)
    with pytest.raises(InputError, match="begins with a convolution of 3 channels to whiten, got NoConvolution"):
        whiten_first_convolution(model, smooth_images(2))
