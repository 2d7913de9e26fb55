"""Cooperative games as classifiers: which cells of an image are bright decides the logits."""

from collections.abc import Callable
from itertools import combinations
from math import factorial

import torch
from torch import Tensor, nn

from falsewitness.models import Classifier

CELL = 2
"""Side of a player's cell in pixels."""

Worth = Callable[[frozenset[int]], Tensor]
"""Gives what a set of players is worth to each class."""


class Game(nn.Module):
    """Looks up the logits by which cells of a grey image are bright."""

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.cells = nn.AvgPool2d(CELL)
        self.register_buffer("table", table)

    def forward(self, images: Tensor) -> Tensor:
        bright = (self.cells(images).flatten(1) > 0.5).long()
        return self.table[(bright << torch.arange(bright.shape[1])).sum(1)]


def game(worth: Worth, players: int) -> Classifier:
    """Return a classifier whose image is a square of so many cells."""
    table = torch.stack([worth(members(number, players)) for number in range(2**players)])
    return Classifier.wrap(Game(table), feature_layer="cells", mean=(0.0,), std=(1.0,)).double()


def members(number: int, players: int) -> frozenset[int]:
    return frozenset(player for player in range(players) if number >> player & 1)


def drawn_worth(players: int, classes: int = 3, seed: int = 0) -> Worth:
    """Return a game in which every set is worth something of its own."""
    table = torch.randn(2**players, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return lambda players: table[sum(1 << player for player in players)]


def everybody(side: int, batch: int = 1) -> Tensor:
    """Return images in which all cells are bright."""
    return torch.ones(batch, 1, side * CELL, side * CELL, dtype=torch.float64)


def nobody(side: int) -> Tensor:
    """Return an image in which no cell is."""
    return torch.zeros(1, 1, side * CELL, side * CELL, dtype=torch.float64)


def of_players(maps: Tensor) -> Tensor:
    """Return each player's value, ``[..., players]``, from maps in which it stands at all pixels of the cell."""
    values = maps[..., ::CELL, ::CELL]
    assert torch.equal(values.repeat_interleave(CELL, -1).repeat_interleave(CELL, -2), maps)
    return values.flatten(-2)


def shapley(worth: Worth, players: int) -> Tensor:
    """Return ``[players, classes]``: Shapley 1953, the sum over all sets without the player, one after the other."""
    values = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        value = torch.zeros_like(worth(frozenset()))
        for size in range(players):
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            for chosen in combinations(others, size):
                without = frozenset(chosen)
                value = value + weight * (worth(without | {player}) - worth(without))
        values.append(value)
    return torch.stack(values)
