"""Kernel SHAP: Shapley values of segments by a weighted linear regression."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from math import comb
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from falsewitness.core import DataInfo, Fault, InputError
from falsewitness.explainers._draws import Seed, generator
from falsewitness.explainers._queries import Altered, Answers, Questions
from falsewitness.explainers._segments import Present, SegmentExplainer, Segments, Values, partly_hidden

_DRAWS_A_PAIR = 4
"""Draws at most for each pair of sets there is room for, as in the authors' code."""


class Coalitions(NamedTuple):
    """Sets of players, neither empty nor complete, and what each counts in the regression.

    Attributes:
        present: Who is in each.
        weights: In double precision, up to a common factor.
    """

    present: Present
    weights: Float[Tensor, " queries"]


class KernelShap(SegmentExplainer):
    """What each segment adds to the class score, by Shapley's fair share (Lundberg and Lee 2017, theorem 2).

    The worth ``v(S)`` of a set of segments is the mean score of copies of the image in which every other segment is
    taken from an image of a background set of training images. The values are the ``phi`` that minimise
    ``sum_S k(|S|) (v(S) - v(empty) - sum_{i in S} phi_i)^2`` with the Shapley kernel
    ``k(s) = (M - 1) / (binomial(M, s) s (M - s))`` of ``M`` segments, under ``sum_i phi_i = v(all) - v(empty)``, which
    holds exactly, by elimination. With no more than `samples` sets in all, each is asked about, and the values are
    Shapley's. Otherwise the sizes for whose sets there is room are asked about completely, single segments first, and
    the rest are drawn, each set with its complement, sizes in proportion to the kernel. All images of as many segments
    get the same draws, so that a map does not depend on the batch.
    """

    kind: Literal["kernel_shap"] = "kernel_shap"

    samples: Annotated[int, Field(ge=4, le=100_000)] = 1000
    """Sets of segments at most, each asked about with each image of the background. Two and two a segment at least."""

    background: Annotated[int, Field(ge=1, le=100_000)] = 10
    """Training images to compare with."""

    seed: Seed = 0
    """Seed of the draws."""

    source: ClassVar[str] = (
        "Lundberg and Lee, A unified approach to interpreting model predictions, NeurIPS 2017, theorem 2"
    )
    signed: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True
    by_class: ClassVar[bool] = True

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map cost at most."""
        return (1 + self.samples * self.background) / 3

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self.superpixels is None and self.samples < _fewest_samples(self.grid**2):
            yield Fault("samples", self._too_few_for(self.grid**2))
        yield from super()._check(info)

    def _too_few_for(self, players: int) -> str:
        return f"expected at least {_fewest_samples(players)} samples for {players} segments, got {self.samples}"

    def _values(self, questions: Questions, segments: Segments, players: int) -> Values:
        if self.samples < _fewest_samples(players):
            raise InputError(
                f"explainer '{self.kind}': {self._too_few_for(players)}; raise samples or ask for fewer segments"
            )
        images, background = questions.images, questions.subject.background
        assert background is not None  # noqa: S101 - bind() has seen to it
        present, weights = coalitions(players, self.samples, generator(self.seed, questions.subject.draw))
        present = torch.cat([torch.zeros(1, players, dtype=torch.bool), present]).to(images.device)

        def copies(numbers: slice, absent: Tensor) -> Altered:
            return partly_hidden(images, segments, present[numbers], absent)

        worth = _mean_over(
            background, lambda absent: questions.all_answers(len(present), partial(copies, absent=absent))
        )
        gain = questions.scores.double() - worth[0]
        return shapley_values(Coalitions(present[1:], weights.to(images.device)), worth[1:] - worth[0], gain)


def _fewest_samples(players: int) -> int:
    """Return how many sets make the regression solvable: the ends, each player alone and all but each; or all sets."""
    return min(1 << players, 2 * players + 2)


def _mean_over(background: Tensor, answers: Callable[[Tensor], Answers]) -> Answers:
    """Return the mean of the answers with each background image, in double precision."""
    total = answers(background[0]).double()
    for image in background[1:]:
        total = total + answers(image)
    return total / len(background)


def coalitions(players: int, samples: int, random: torch.Generator) -> Coalitions:
    """Return which sets to ask about: all where that takes no more than the samples, the empty and whole set included.

    Sampled are sizes in proportion to the kernel's weight and sets with their complements, as in the authors' code. The
    sets of a size are asked about completely where as many would be drawn anyway; single players and their complements
    are in any case, which makes the regression solvable.
    """
    # A size's weight is the kernel's times the number of its sets.
    shares = ((players - 1) / (size * (players - size)) for size in range(1, players))
    of_size = torch.tensor([0.0, *shares], dtype=torch.float64)
    left = samples - 2
    present: list[Tensor] = []
    weights: list[Tensor] = []
    sampled = list(range(1, players))
    for size in range(1, players // 2 + 1):
        both = sorted({size, players - size})
        sets = len(both) * comb(players, size)
        due = left * float(of_size[both].sum() / of_size[sampled].sum())
        if 2**players > samples and size > 1 and sets > due:
            break
        for number in both:
            present.append(_all_sets(players, number))
            weights.append((of_size[number] / comb(players, number)).expand(comb(players, number)))
            sampled.remove(number)
        left -= sets
    if sampled and left >= 2:
        drawn, times = _drawn_sets(players, of_size[sampled], torch.tensor(sampled), left // 2, random)
        present.append(drawn)
        weights.append(of_size[sampled].sum() * times / times.sum())
    if not present:
        return Coalitions(torch.zeros(0, players, dtype=torch.bool), of_size[:0])
    return Coalitions(torch.cat(present), torch.cat(weights))


def _all_sets(players: int, size: int) -> Present:
    members = torch.tensor(list(combinations(range(players), size)))
    return torch.zeros(len(members), players, dtype=torch.bool).scatter(1, members, True)


def _drawn_sets(
    players: int, weights: Tensor, sizes: Tensor, pairs: int, random: torch.Generator
) -> tuple[Present, Float[Tensor, " queries"]]:
    """Return the sets that were drawn, with their complements, and how often each was.

    A set that comes again counts more and costs nothing: so draws go on until as many pairs are found, or drawn often.
    """
    count = _DRAWS_A_PAIR * pairs
    drawn = sizes[torch.multinomial(weights, count, replacement=True, generator=random)]
    places = torch.rand(count, players, generator=random).argsort(1).argsort(1)
    sets = places < drawn[:, None]
    of_pair = sets ^ sets[:, :1]  # of a set and its complement the one without the first player
    found, which = of_pair.unique(dim=0, return_inverse=True)
    first = torch.full((len(found),), count).scatter_reduce(0, which, torch.arange(count), "amin").sort().values
    end = int(first[pairs]) if len(first) > pairs else count
    times = which[:end].bincount(minlength=len(found))
    half, times = found[times > 0], times[times > 0].double()
    return torch.cat([half, ~half]), torch.cat([times, times])


def shapley_values(asked: Coalitions, worth: Answers, gain: Float[Tensor, "batch wanted"]) -> Values:
    """Solve the regression, in double precision.

    Args:
        asked: Sets of players.
        worth: How much more each set is worth than none.
        gain: How much more all are worth than none, which the values add up to.
    """
    seen, weights = asked.present.double(), asked.weights[:, None]
    # The last player gets what the others leave: v(S) - z_M gain = sum_{i < M} (z_i - z_M) phi_i.
    apart = seen[:, :-1] - seen[:, -1:]
    scores = worth.double().flatten(1) - seen[:, -1:] * gain.flatten()
    found = torch.linalg.solve(apart.T @ (weights * apart), apart.T @ (weights * scores))
    last = gain.flatten() - found.sum(0)
    values: Values = torch.cat([found, last[None]]).T.unflatten(0, gain.shape)
    return values
