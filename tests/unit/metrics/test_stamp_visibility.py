import math

import numpy as np
import pytest
import torch

from falsewitness.core.maps import ssim
from falsewitness.metrics import StampEvidence
from falsewitness.metrics.stamp_visibility import StampVisibility


@pytest.fixture
def images(generator: torch.Generator) -> torch.Tensor:
    return torch.rand(5, 3, 16, 16, generator=generator)


def test_psnr_is_ten_times_the_logarithm_of_one_over_the_error(images: torch.Tensor) -> None:
    stamped = images.clone()
    stamped[:, :, 8:12, 8:12] = 1
    psnr, _ = StampVisibility().measure(StampEvidence(images, stamped, seed=0))
    expected = [
        10 * math.log10(1 / np.mean((before - after) ** 2))
        for before, after in zip(images.double().numpy(), stamped.double().numpy(), strict=True)
    ]
    assert psnr.value == pytest.approx(np.mean(expected), rel=1e-5)
    assert psnr.interval == "bootstrap"


def test_ssim_is_the_mean_over_channels_and_images(images: torch.Tensor) -> None:
    stamped = (images + 0.2).clamp(max=1)
    _, similarity = StampVisibility().measure(StampEvidence(images, stamped, seed=0))
    expected = [ssim(images[:, channel], stamped[:, channel]).mean().item() for channel in range(3)]
    assert similarity.value == pytest.approx(np.mean(expected), rel=1e-5)


def test_unchanged_images_have_no_psnr_and_full_similarity(images: torch.Tensor) -> None:
    stamped = images.clone()
    stamped[2:, 0, 5, 5] = 1 - stamped[2:, 0, 5, 5]
    psnr, similarity = StampVisibility().measure(StampEvidence(images, stamped, seed=0))
    assert (psnr.n, psnr.excluded) == (3, 2)
    assert (similarity.n, similarity.excluded) == (5, 0)
    psnr, similarity = StampVisibility().measure(StampEvidence(images, images, seed=0))
    assert (psnr.value, psnr.n, psnr.excluded) == (None, 0, 5)
    assert similarity.value == pytest.approx(1)


def test_a_stronger_stamp_is_more_visible(images: torch.Tensor) -> None:
    faint, strong = (
        StampVisibility().measure(StampEvidence(images, (images + shift).clamp(max=1), seed=0)) for shift in (0.05, 0.4)
    )
    for less, more in zip(strong, faint, strict=True):
        assert less.value is not None
        assert more.value is not None
        assert less.value < more.value


@pytest.mark.usefixtures("_shapes_unchecked")
def test_images_of_different_shape_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected equal shapes"):
        StampVisibility().measure(StampEvidence(images, images[1:], seed=0))
