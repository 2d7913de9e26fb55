"""RISE: the mean of random masks, weighted by what the model scores the image seen through them."""

from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from falsewitness.explainers._draws import Seed, generator
from falsewitness.explainers._queries import Altered, AnswersOnly, Questions, ScoreMaps

Masks = Float[Tensor, "masks height width"]


class Rise(AnswersOnly):
    """How much better a class scores where a pixel is seen, over random masks (Petsiuk et al. 2018, equation 6).

    The paper's map is ``sum_i s(x * M_i) M_i / (N E[M])``, divided by the masks' expected value and not by how often
    each pixel happened to be seen. Its scores are probabilities; logits may be negative, and a constant added to all of
    them would draw the masks' own sampling noise on the map. So the mean score over all masks is subtracted from each.
    In expectation that lowers the paper's map by one number, the same at every pixel: what is high stays high, and
    negative values say that the class scores worse than on average where the pixel is seen. A mask is a grid of random
    cells, on with a given probability, stretched bilinearly and shifted by up to one cell (section 3.2). All images get
    the same masks, so that a map does not depend on the batch.
    """

    kind: Literal["rise"] = "rise"

    masks: Annotated[int, Field(ge=2, le=1_000_000)] = 2000
    """Random masks; the paper takes 4000 and 8000 for images of 224 pixels."""

    cells: Annotated[int, Field(ge=1, le=1000)] = 7
    """Cells along each side of a mask before it is stretched."""

    probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """How likely a cell is on."""

    fill: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Pixel value that is seen where a mask is off: black as in the paper."""

    seed: Seed = 0
    """Seed of the masks."""

    source: ClassVar[str] = (
        "Petsiuk et al., RISE: Randomized input sampling for explanation of black-box models, BMVC 2018, equation 6"
    )
    signed: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map cost."""
        return (1 + self.masks) / 3

    def _maps(self, questions: Questions) -> ScoreMaps:
        images, scores = questions.images, questions.scores
        size, random = (images.shape[2], images.shape[3]), generator(self.seed, questions.subject.draw)
        grids = (torch.rand(self.masks, self.cells, self.cells, generator=random) < self.probability).to(scores)
        shifts = torch.stack([torch.randint(_cell(side, self.cells), (self.masks,), generator=random) for side in size])
        shifts = shifts.to(images.device)

        def masks(numbers: slice) -> Masks:
            return shifted_masks(grids[numbers], shifts[:, numbers], size)

        def seen(numbers: slice) -> Altered:
            mask = masks(numbers)[:, None, None].to(images)
            return images * mask + self.fill * (1 - mask)

        weighted, total = torch.zeros_like(scores)[:, :, None, None], torch.zeros_like(scores)
        seen_often = torch.zeros_like(scores[0, 0])
        for numbers, answers in questions.answers(self.masks, seen):
            # Only differences count: those from the whole image's score are small, and so is their rounding.
            gains, mask = answers - scores, masks(numbers)
            with torch.autocast(images.device.type, enabled=False):
                weighted = weighted + torch.einsum("nbk,nhw->bkhw", gains, mask)
            seen_often = seen_often + mask.sum(0)
            total = total + gains.sum(0)
        mean = (total / self.masks)[:, :, None, None]
        return (weighted - mean * seen_often) / (self.masks * self.probability)


def _cell(side: int, cells: int) -> int:
    """Return the length of a cell in pixels."""
    return -(-side // cells)


def shifted_masks(
    grids: Float[Tensor, "masks cells cells"], shifts: Int[Tensor, "2 masks"], size: tuple[int, int]
) -> Masks:
    """Return grids stretched bilinearly to one cell more than the image, and cut to its size at an offset.

    Args:
        grids: Values of the cells in [0, 1].
        shifts: Where the cut begins, down and across, in pixels: less than a cell.
        size: Height and width of the image.
    """
    cells = grids.shape[1]
    wider = [(cells + 1) * _cell(side, cells) for side in size]
    stretched = F.interpolate(grids[:, None], wider, mode="bilinear", align_corners=False)[:, 0]
    down, across = (
        shift[:, None] + torch.arange(side, device=grids.device) for shift, side in zip(shifts, size, strict=True)
    )
    rows = stretched.gather(1, down[:, :, None].expand(-1, -1, wider[1]))
    return rows.gather(2, across[:, None].expand(-1, size[0], -1))
