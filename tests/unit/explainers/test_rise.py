import math

import pytest
import torch
from torch import Tensor, nn

from falsewitness.core import DataInfo
from falsewitness.explainers._draws import generator
from falsewitness.explainers.rise import Rise, shifted_masks
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 12, 10, ("one", "two", "three"))
CLASSES = torch.tensor([2, 0])


def model() -> Classifier:
    return ConvNet(width=4, strides=(1, 2)).bind(INFO, seed=0).eval()


def images() -> Tensor:
    return torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))


class Linear(nn.Module):
    """Sums the pixels by weights, one set a class, and adds a constant."""

    def __init__(self, weights: Tensor, constant: float) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.weights, self.constant = weights, constant

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.flat(pixels) @ self.weights.flatten(1).T + self.constant
        return scores


def linear(weights: Tensor, constant: float = 0.0) -> Classifier:
    return Classifier.wrap(Linear(weights, constant), feature_layer="flat", mean=(0.0,), std=(1.0,)).double()


def interpolation(pixels: int, cells: int) -> list[list[float]]:
    """Return how much each cell of a row counts at each pixel of the stretched row: bilinear, in one dimension."""
    cell = math.ceil(pixels / cells)
    stretched = (cells + 1) * cell
    rows = []
    for pixel in range(stretched):
        place = min(max((pixel + 0.5) * cells / stretched - 0.5, 0.0), cells - 1.0)
        row = [0.0] * cells
        row[math.floor(place)] += 1 - (place - math.floor(place))
        row[min(math.floor(place) + 1, cells - 1)] += place - math.floor(place)
        rows.append(row)
    return rows


@pytest.mark.parametrize(("size", "cells"), [((12, 10), 4), ((9, 9), 3), ((5, 8), 7), ((4, 4), 1)])
def test_masks_are_stretched_bilinearly_and_cut_at_their_shift(size: tuple[int, int], cells: int) -> None:
    random = torch.Generator().manual_seed(0)
    grids = torch.rand(3, cells, cells, generator=random, dtype=torch.float64)
    down, across = interpolation(size[0], cells), interpolation(size[1], cells)
    furthest = [math.ceil(side / cells) - 1 for side in size]
    shifts = torch.tensor([[0, furthest[0], furthest[0] // 2], [0, furthest[1], 0]])
    masks = shifted_masks(grids, shifts, size)
    for number in range(3):
        for row in range(size[0]):
            for column in range(size[1]):
                rows, columns = down[row + shifts[0, number]], across[column + shifts[1, number]]
                expected = sum(
                    rows[i] * columns[j] * float(grids[number, i, j]) for i in range(cells) for j in range(cells)
                )
                assert float(masks[number, row, column]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("explainer", [Rise(masks=30), Rise(masks=20, cells=3, probability=0.2, fill=1.0, seed=4)])
def test_maps_are_those_of_the_paper_with_scores_about_their_mean(explainer: Rise) -> None:
    net, pixels = model().double(), images().double()
    random = generator(explainer.seed, 0)
    grids = torch.rand(explainer.masks, explainer.cells, explainer.cells, generator=random) < explainer.probability
    shifts = torch.stack(
        [torch.randint(math.ceil(side / explainer.cells), (explainer.masks,), generator=random) for side in (12, 10)]
    )
    masks = shifted_masks(grids.double(), shifts, (12, 10))
    maps = explainer.bind(net)(pixels, CLASSES).maps
    for row, wanted in enumerate(CLASSES.tolist()):
        with torch.no_grad():
            scores = [float(net((pixels[row] * mask + explainer.fill * (1 - mask))[None])[0, wanted]) for mask in masks]
        mean = sum(scores) / len(scores)
        expected = torch.zeros(12, 10, dtype=torch.float64)
        for score, mask in zip(scores, masks, strict=True):
            expected += (score - mean) * mask / (explainer.probability * explainer.masks)
        assert torch.allclose(maps[row], expected, atol=1e-12)
    assert maps.abs().max() > 1e-3


def test_the_map_of_a_linear_score_comes_near_its_expected_value() -> None:
    """Of ``sum_u a_u M_u`` it is ``sum_u a_u Cov(M_u, M_v) / p``: 40,000 masks, to within 3 % of the map's length."""
    cells, probability, side = 3, 0.4, 6
    weights = torch.randn(2, 1, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    along = torch.tensor(interpolation(side, cells), dtype=torch.float64)
    covariance = torch.zeros(side, side, side, side, dtype=torch.float64)
    shifts = [(down, across) for down in range(side // cells) for across in range(side // cells)]
    for down, across in shifts:
        rows, columns = along[down : down + side], along[across : across + side]
        share = torch.einsum("yi,xj->yxij", rows, columns)
        covariance += probability * (1 - probability) * torch.einsum("yxij,vuij->yxvu", share, share) / len(shifts)
    expected = torch.einsum("kyx,yxvu->kvu", weights[:, 0], covariance) / probability
    explainer = Rise(masks=40_000, cells=cells, probability=probability)
    maps = explainer.bind(linear(weights, constant=5.0)).columns(torch.ones(1, 1, side, side).double()).maps[0]
    assert (maps - expected).norm() < 0.03 * expected.norm()


def test_a_constant_added_to_all_scores_changes_nothing() -> None:
    weights = torch.randn(2, 3, 12, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    few = Rise(masks=20)
    plain = few.bind(linear(weights)).columns(images().double()).maps
    raised = few.bind(linear(weights, constant=-100.0)).columns(images().double()).maps
    assert torch.allclose(plain, raised, atol=1e-10)


def test_a_score_that_no_pixel_moves_has_a_map_of_zeros() -> None:
    explain = Rise(masks=20).bind(linear(torch.zeros(2, 3, 12, 10).double(), constant=3.0))
    assert not explain(images().double()).maps.any()
