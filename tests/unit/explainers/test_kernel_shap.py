import math

import pytest
import torch
from captum.attr import KernelShap as CaptumKernelShap
from tests.unit.explainers._games import (
    CELL,
    Worth,
    drawn_worth,
    everybody,
    game,
    nobody,
    of_players,
    shapley,
)
from torch import Tensor

from falsewitness.core import DataInfo, InputError
from falsewitness.explainers.kernel_shap import KernelShap, coalitions
from falsewitness.models.convnet import ConvNet


def values(explainer: KernelShap, worth: Worth, side: int) -> Tensor:
    """Return ``[players, classes]`` of a game in which nobody is the background."""
    explain = explainer.bind(game(worth, side**2), background=nobody(side))
    return of_players(explain.columns(everybody(side)).maps)[0].T


@pytest.mark.parametrize("side", [1, 2, 3])
def test_with_all_coalitions_they_are_the_shapley_values(side: int) -> None:
    worth = drawn_worth(side**2)
    found = values(KernelShap(grid=side, samples=512), worth, side)
    assert torch.allclose(found, shapley(worth, side**2), atol=1e-10)


def test_in_single_precision_they_are_the_shapley_values_to_a_millionth() -> None:
    worth = drawn_worth(9)
    explain = KernelShap(grid=3, samples=512).bind(game(worth, 9).float(), background=nobody(3).float())
    found = of_players(explain.columns(everybody(3).float()).maps)[0].T
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), shapley(worth, 9), atol=1e-6)


@pytest.mark.parametrize("samples", [20, 21, 60, 511, 512])
def test_they_add_up_to_the_gain_over_the_background_however_few_the_samples(samples: int) -> None:
    worth = drawn_worth(9)
    found = values(KernelShap(grid=3, samples=samples), worth, 3)
    assert torch.allclose(found.sum(0), worth(frozenset(range(9))) - worth(frozenset()), atol=1e-10)


def test_players_that_add_the_same_to_every_coalition_get_the_same() -> None:
    drawn = drawn_worth(9)

    def worth(players: frozenset[int]) -> Tensor:
        """Tell players 0 and 4 apart by their number only."""
        return drawn((players - {0, 4}) | set(range(len(players & {0, 4}))))

    found = values(KernelShap(grid=3, samples=512), worth, 3)
    assert torch.allclose(found[0], found[4], atol=1e-10)
    assert (found[0] - found[1]).abs().max() > 0.01


def test_a_player_that_adds_nothing_gets_nothing() -> None:
    drawn = drawn_worth(9)
    found = values(KernelShap(grid=3, samples=512), lambda players: drawn(players - {5}), 3)
    assert found[5].abs().max() < 1e-10
    assert found.abs().sum(1).count_nonzero() == 9


@pytest.mark.parametrize("samples", [20, 40, 200])
def test_a_game_without_interactions_is_solved_by_any_sample(samples: int) -> None:
    share = torch.arange(9.0, dtype=torch.float64)[:, None] * torch.tensor([1.0, -2.0]).double()
    found = values(KernelShap(grid=3, samples=samples), lambda players: share[sorted(players)].sum(0), 3)
    assert torch.allclose(found, share, atol=1e-10)


def test_sampled_coalitions_come_nearer_to_the_shapley_values_the_more_there_are() -> None:
    """Every set of 9 players has a worth of its own, the worst case; mean error over 10 seeds by number of samples."""
    worth = drawn_worth(9)
    exact = shapley(worth, 9)
    errors = []
    for samples in (32, 128, 384):
        explainers = [KernelShap(grid=3, samples=samples, seed=seed) for seed in range(10)]
        errors.append(
            sum(float((values(explainer, worth, 3) - exact).norm() / exact.norm()) for explainer in explainers) / 10
        )
    assert errors[0] > 1.5 * errors[1] > 2.25 * errors[2], errors
    assert errors[2] < 0.25, errors


def test_the_worth_of_a_coalition_is_the_mean_over_the_background() -> None:
    drawn = drawn_worth(4)
    cells = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0]]).double()
    background = cells.view(3, 1, 2, 2).repeat_interleave(CELL, -1).repeat_interleave(CELL, -2)

    def worth(players: frozenset[int]) -> Tensor:
        """Let absent players be as in the background, where some are bright."""
        bright = [players | {player for player in range(4) if row[player]} for row in cells]
        return torch.stack([drawn(frozenset(present)) for present in bright]).mean(0)

    explain = KernelShap(grid=2, background=3).bind(game(drawn, 4), background=background)
    found = of_players(explain.columns(everybody(2)).maps)[0].T
    assert torch.allclose(found, shapley(worth, 4), atol=1e-10)


def test_captum_comes_to_the_same_by_its_own_samples() -> None:
    """Captum draws 500 of them, and weights the ends by a million instead of eliminating: a tolerance of 5 %."""
    info = DataInfo(3, 12, 12, ("one", "two", "three"))
    model = ConvNet(width=4, strides=(1, 2)).bind(info, seed=0).eval()
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    background, classes = torch.full((1, 3, 12, 12), 0.5), torch.tensor([2, 0])
    ours = KernelShap(grid=2, background=1).bind(model, background=background)(images, classes).maps
    cells = torch.arange(4).view(1, 1, 2, 2).repeat_interleave(6, -1).repeat_interleave(6, -2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.stack(
            [
                CaptumKernelShap(model).attribute(
                    image[None],
                    background,
                    target=int(wanted),
                    feature_mask=cells,
                    n_samples=500,
                    perturbations_per_eval=500,
                )[0, 0]
                for image, wanted in zip(images, classes, strict=True)
            ]
        )
    assert (ours - theirs).norm() < 0.05 * ours.norm()


@pytest.mark.parametrize(("players", "samples"), [(2, 4), (4, 16), (9, 512), (9, 600)])
def test_each_coalition_is_asked_about_once_where_all_can_be(players: int, samples: int) -> None:
    present, weights = coalitions(players, samples, torch.Generator())
    assert len(present) == len(present.unique(dim=0)) == 2**players - 2
    for coalition, weight in zip(present, weights, strict=True):
        size = int(coalition.sum())
        kernel = (players - 1) / (math.comb(players, size) * size * (players - size))
        assert float(weight) == pytest.approx(kernel, rel=1e-12)


@pytest.mark.parametrize(("players", "samples"), [(9, 20), (9, 100), (9, 511), (64, 130), (64, 1000), (63, 5000)])
def test_sampled_coalitions_are_paired_distinct_and_no_more_than_asked_for(players: int, samples: int) -> None:
    present, weights = coalitions(players, samples, torch.Generator().manual_seed(0))
    assert len(present) <= samples - 2
    asked = {tuple(row.tolist()): float(weight) for row, weight in zip(present, weights, strict=True)}
    assert len(asked) == len(present)
    for coalition, weight in asked.items():
        assert asked[tuple(not member for member in coalition)] == pytest.approx(weight)
    sizes = present.sum(1)
    assert (sizes == 1).sum() == players, "single players are asked about in any case"
    assert float(weights[sizes == 1].sum()) == pytest.approx(1.0)


def test_sizes_are_drawn_in_proportion_to_the_kernel() -> None:
    """20,000 draws for 40 players: each size's share of the weight is the kernel's to within 15 %."""
    present, weights = coalitions(40, 20_000, torch.Generator().manual_seed(0))
    sizes = present.sum(1)
    for size in range(1, 40):
        assert float(weights[sizes == size].sum()) == pytest.approx(39 / (size * (40 - size)), rel=0.15)


def test_a_coalition_that_is_drawn_again_counts_again() -> None:
    """9 players, room for 348 of 510 sets, 100 seeds: the mean weight of each size is the kernel's to within 3 %."""
    shares = torch.zeros(10, dtype=torch.float64)
    for seed in range(100):
        present, weights = coalitions(9, 350, torch.Generator().manual_seed(seed))
        shares.index_add_(0, present.sum(1), weights / 100)
    for size in range(1, 9):
        assert float(shares[size]) == pytest.approx(8 / (size * (9 - size)), rel=0.03)


def test_too_few_samples_for_the_players_are_refused() -> None:
    explain = KernelShap(grid=3, samples=19).bind(game(drawn_worth(9), 9), background=nobody(3))
    info = DataInfo(1, 6, 6, ("one", "two"))
    assert str(*explain.explainer.check(info)) == "samples: expected at least 20 samples for 9 segments, got 19"
    assert not KernelShap(grid=3, samples=20).check(info)
    assert not KernelShap(grid=2, samples=10).check(info)
    assert not KernelShap(superpixels=50, samples=20).check(info), "how many there are shows with the image"
    with pytest.raises(
        InputError, match="'kernel_shap': expected at least 20 samples for 9 segments, got 19; raise samples"
    ):
        explain(everybody(3))


def test_without_a_background_it_is_refused() -> None:
    with pytest.raises(InputError, match="'kernel_shap' compares with training images"):
        KernelShap().bind(game(drawn_worth(4), 4))
