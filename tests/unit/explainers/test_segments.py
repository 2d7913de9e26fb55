import importlib.util

import pytest
import torch
from torch import Tensor

from falsewitness.core import DataInfo, InputError
from falsewitness.explainers import _segments
from falsewitness.explainers._segments import SegmentExplainer, alike, grid, partly_hidden, spread, superpixels
from falsewitness.explainers.kernel_shap import KernelShap
from falsewitness.explainers.lime import Lime
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 16, 16, ("one", "two", "three"))
needs_skimage = pytest.mark.skipif(importlib.util.find_spec("skimage") is None, reason="scikit-image is not installed")


def model() -> Classifier:
    return ConvNet(width=4, strides=(1, 2)).bind(INFO, seed=0).eval()


def images(batch: int = 3, channels: int = 3) -> Tensor:
    """Return noise of ever more contrast, which SLIC cuts into a different number of superpixels each."""
    random = torch.Generator().manual_seed(0)
    return torch.stack([torch.rand(channels, 16, 16, generator=random) ** (1 + 3 * number) for number in range(batch)])


@pytest.mark.parametrize(("height", "width", "side"), [(8, 8, 4), (9, 7, 4), (28, 28, 8), (5, 5, 5), (6, 9, 1)])
def test_a_grid_cuts_each_side_into_parts_equal_to_within_a_pixel(height: int, width: int, side: int) -> None:
    segments = grid(torch.zeros(2, 3, height, width), side)
    assert segments.shape == (2, height, width)
    assert torch.equal(segments[0], segments[1])
    assert segments.unique().tolist() == list(range(side * side))
    for line, pixels in ((segments[0, :, 0] // side, height), (segments[0, 0], width)):
        lengths = line.bincount()
        assert len(lengths) == side
        assert {*lengths.tolist()} <= {pixels // side, -(-pixels // side)}


def test_each_copy_shows_its_segments_and_hides_the_others() -> None:
    pixels = torch.rand(2, 3, 2, 2)
    segments = torch.tensor([[[0, 1], [2, 2]], [[0, 0], [0, 1]]])
    present = torch.tensor([[True, False, True], [False, True, False]])
    found = partly_hidden(pixels, segments, present, torch.tensor(9.0))
    for copy in range(2):
        for row in range(2):
            for y in range(2):
                for x in range(2):
                    seen = present[copy, segments[row, y, x]]
                    expected = pixels[row, :, y, x] if seen else torch.full((3,), 9.0)
                    assert torch.equal(found[copy, row, :, y, x], expected)


def test_each_pixel_gets_the_value_of_its_segment() -> None:
    values = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    segments = torch.tensor([[[0, 1]], [[1, 1]]])
    expected = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]], [[[6.0, 6.0]], [[8.0, 8.0]]]])
    assert torch.equal(spread(values, segments), expected)


def test_images_of_as_many_segments_are_found_together() -> None:
    segments = torch.tensor([[[0, 1]], [[0, 0]], [[1, 0]]])
    assert [(players, rows.tolist()) for players, rows in alike(segments)] == [(1, [1]), (2, [0, 2])]


@needs_skimage
@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_are_numbered_without_gaps_and_are_about_as_many_as_asked_for(channels: int) -> None:
    for labels in superpixels(images(channels=channels), 16):
        found = labels.unique().tolist()
        assert found == list(range(len(found)))
        assert 8 <= len(found) <= 24


@needs_skimage
def test_superpixels_follow_the_contours_of_an_image() -> None:
    image = torch.zeros(1, 3, 16, 16)
    image[:, 0, :, 6:] = 1
    labels = superpixels(image, 8)[0]
    assert not set(labels[:, :6].unique().tolist()) & set(labels[:, 6:].unique().tolist())


@needs_skimage
@pytest.mark.parametrize("flat", [0.0, 0.5, 1.0])
def test_an_image_without_contrast_has_superpixels_too(flat: float) -> None:
    assert superpixels(torch.full((1, 3, 16, 16), flat), 16).unique().numel() > 1


@needs_skimage
@pytest.mark.parametrize(
    "explainer",
    [Lime(superpixels=20, samples=50), KernelShap(superpixels=20, samples=80, background=2)],
    ids=lambda explainer: str(explainer.kind),
)
def test_images_of_different_superpixels_are_explained_in_one_batch_as_alone(explainer: SegmentExplainer) -> None:
    pixels, background = images(), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    segments = superpixels(pixels, 20)
    assert len(list(alike(segments))) > 1, "images must differ in number for this test to say anything"
    explain = explainer.bind(model(), background=background)
    together = explain(pixels).maps
    for row in range(3):
        assert torch.allclose(explain(pixels[row : row + 1]).maps[0], together[row], atol=1e-5)
        for number in segments[row].unique():
            values = together[row][segments[row] == number]
            assert torch.equal(values, values[:1].expand_as(values))


def test_without_scikit_image_superpixels_are_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_segments, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"'lime' with superpixels needs scikit-image.*: pip install scikit-image"):
        Lime(superpixels=20).bind(model())
    assert Lime(samples=10).bind(model())(images()).maps.shape == (3, 16, 16)


def test_a_grid_finer_than_the_pixels_is_refused() -> None:
    explainer = Lime(grid=17)
    said = "expected at most one segment a pixel for images of 16x16 pixels, got 17 a side"
    assert str(*explainer.check(INFO)) == f"grid: {said}"
    with pytest.raises(InputError, match=f"'lime': {said}; choose a coarser grid"):
        explainer.bind(model())(images())
    assert not Lime(grid=16).check(INFO)
