import math

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import Lime as CaptumLime
from tests.unit.explainers._games import drawn_worth, everybody, game, members, of_players
from torch import Tensor

from falsewitness.core import DataInfo
from falsewitness.explainers._draws import generator
from falsewitness.explainers._segments import grid
from falsewitness.explainers.lime import Lime, mean_colours
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 12, 12, ("one", "two", "three"))
CLASSES = torch.tensor([2, 0])


def model() -> Classifier:
    return ConvNet(width=4, strides=(1, 2)).bind(INFO, seed=0).eval()


def images() -> Tensor:
    return torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def copies(explainer: Lime) -> Tensor:
    """Return which of 9 segments each copy shows, as the explainer draws them."""
    present = torch.rand(explainer.samples, 9, generator=generator(explainer.seed, 0)) < 0.5
    present[0] = True
    return present


@pytest.mark.parametrize("explainer", [Lime(grid=3, samples=40), Lime(grid=3, samples=100, width=0.7, ridge=0.01)])
def test_no_other_slopes_have_a_lower_loss(explainer: Lime) -> None:
    """Least squares of the paper's sum, written out row by row: the ridge adds a row for each slope."""
    worth = drawn_worth(9)
    found = of_players(explainer.model_copy(update={"fill": 0.0}).bind(game(worth, 9)).columns(everybody(3)).maps)
    rows, targets = [], []
    for present in copies(explainer).tolist():
        similarity = sum(present) / (math.sqrt(sum(present)) * math.sqrt(9)) if any(present) else 0.0
        weight = math.exp(-((1 - similarity) ** 2) / explainer.width**2)
        rows.append([math.sqrt(weight) * value for value in [*present, 1.0]])
        score = worth(members(sum(1 << player for player in range(9) if present[player]), 9))
        targets.append(math.sqrt(weight) * score.numpy())
    for player in range(9):
        rows.append([math.sqrt(explainer.ridge) * (player == other) for other in range(10)])
        targets.append(np.zeros(3))
    expected = np.linalg.lstsq(np.array(rows), np.stack(targets), rcond=None)[0]
    assert np.allclose(found[0].T.numpy(), expected[:9], atol=1e-10)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_captum_comes_to_the_same_from_the_same_copies(ridge: float) -> None:
    explainer = Lime(grid=3, samples=60, ridge=ridge, fill=0.5, width=0.4)
    maps = explainer.bind(model())(images(), CLASSES).maps
    present = copies(explainer)

    def locality(_image: Tensor, _copy: Tensor, seen: Tensor, **_: object) -> float:
        cosine = float(torch.cosine_similarity(seen.float(), torch.ones(1, 9)))
        return math.exp(-((1 - cosine) ** 2) / explainer.width**2)

    def given(_image: Tensor, **_: object) -> object:
        yield from present.long()[:, None]

    theirs = CaptumLime(model(), SkLearnRidge(alpha=ridge), locality, given)
    for row, wanted in enumerate(CLASSES.tolist()):
        found = theirs.attribute(
            images()[row : row + 1],
            torch.full((1, 3, 12, 12), 0.5),
            target=wanted,
            feature_mask=grid(images()[:1], 3)[:, None],
            n_samples=60,
            perturbations_per_eval=60,
        )
        assert torch.allclose(maps[row], found[0, 0], atol=1e-4 * float(maps[row].abs().max()))


def test_the_slopes_of_a_sum_over_segments_are_its_terms() -> None:
    share = torch.arange(9.0, dtype=torch.float64)[:, None] * torch.tensor([1.0, -2.0]).double()
    explainer = Lime(grid=3, samples=200, ridge=1e-9, fill=0.0)
    explain = explainer.bind(game(lambda players: share[sorted(players)].sum(0), 9))
    assert torch.allclose(of_players(explain.columns(everybody(3)).maps)[0].T, share, atol=1e-6)


def test_a_hidden_segment_has_its_mean_colour() -> None:
    segments = torch.tensor([[[0, 0, 1], [0, 2, 1]], [[0, 1, 1], [2, 2, 2]]])
    pixels = torch.rand(2, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    found = mean_colours(pixels, segments)
    for row in range(2):
        for channel in range(3):
            for segment in range(3):
                at = segments[row] == segment
                assert torch.allclose(found[row, channel][at], pixels[row, channel][at].mean(), atol=1e-6)


def test_an_image_in_its_mean_colours_has_nothing_to_hide() -> None:
    flat = mean_colours(images(), grid(images(), 4))
    assert Lime(grid=4, samples=50).bind(model())(flat).maps.abs().max() < 1e-4
    assert Lime(grid=4, samples=50, fill=0.0).bind(model())(flat).maps.abs().max() > 1e-3
