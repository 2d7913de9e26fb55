"""EigenCAM: what a layer's channels have most in common, whatever the class."""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from falsewitness.core.explanation import Explanation
from falsewitness.core.precision import at_least_single
from falsewitness.core.shapes import Classes, Features, Images, Maps, Rows
from falsewitness.explainers._activation_maps import ActivationMaps
from falsewitness.explainers._subject import Access, Columns, Subject, for_every_class

Table = Float[Tensor, "batch rows columns"]
Axis = Float[Tensor, "batch columns"]


class EigenCam(ActivationMaps):
    """The first principal component of a layer's output, whatever the class (Muhammad and Yeasin 2020).

    It does not tell classes apart: the map is the same for every class, and no logit enters it. The layer's output is a
    table ``O`` with a row for each position and a column for each channel, ``O = U S V'``, and the map is ``O v_1``
    with the first right singular vector. As in the paper, channels are not centred (pytorch-grad-cam centres them,
    which gives another map), and nothing is cut off: the map is signed. A singular vector's sign is arbitrary; here it
    is the one that makes the map's sum positive. Behind a ReLU no value is then negative, but for rounding.

    Its gradient exists where the largest singular value is not a double one; where it is, the turning of ``v_1`` inside
    the plane of the two is left out.
    """

    kind: Literal["eigencam"] = "eigencam"

    source: ClassVar[str] = "Muhammad and Yeasin, Eigen-CAM, IJCNN 2020"
    access: ClassVar[Access] = "activations"
    signed: ClassVar[bool] = True

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        with torch.set_grad_enabled(differentiable):
            logits, features = subject.model.with_activation(images, self.layer)
            return Explanation(logits, _first_component(features))

    def _explain_rows(self, subject: Subject, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        logits, features = subject.model.with_activation(images, self.layer)
        return Explanation(logits, _first_component(features[rows]))

    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        return for_every_class(self._explain(subject, images, None, differentiable=False))

    def _explain_row_columns(self, subject: Subject, images: Images, rows: Rows) -> Columns:
        return for_every_class(self._explain_rows(subject, images, None, rows))


def _first_component(features: Features) -> Maps:
    channels, height, width = features.shape[1:]
    with torch.autocast(features.device.type, enabled=False):
        table = at_least_single(features).flatten(2).mT
        largest = _finite(table).abs().amax((1, 2), keepdim=True)
        scale = torch.where(largest > 0, largest, 1)  # squares of tiny activations underflow
        table = table / scale
        if channels <= height * width:
            maps = torch.einsum("bpc,bc->bp", table, _first_axis(table))
        else:  # O v_1 = s_1 u_1, and u_1 is the first axis of the transposed table, of which there is less to decompose
            axis = _first_axis(table.mT)
            maps = torch.einsum("bpc,bp->bc", table, axis).norm(dim=1, keepdim=True) * axis
        maps = scale[:, 0] * torch.where(maps.sum(1, keepdim=True) < 0, -maps, maps)
        return maps.view(-1, height, width)


def _first_axis(table: Table) -> Axis:
    """Return the first right singular vector of each table, and let gradients through it.

    torch differentiates a whole decomposition, which fails where any two singular values agree, such as those of two
    silent channels. For the first vector alone only the largest must stand apart: it is the eigenvector of ``G = O' O``
    of the largest eigenvalue ``e_1``, and ``dv_1 = sum_j v_j (v_j . dG v_1) / (e_1 - e_j)`` over all others.
    """
    still = _finite(table)
    energies, axes = torch.linalg.eigh(still.mT @ still)
    first: Axis = axes[:, :, -1]
    others = axes[:, :, :-1]
    if not table.requires_grad:
        return first
    gaps = energies[:, -1:] - energies[:, :-1]
    is_open = gaps > 16 * torch.finfo(gaps.dtype).eps * energies[:, -1:]
    pull = torch.einsum("bic,bi->bc", table, torch.einsum("bic,bc->bi", table, first))
    turns = torch.einsum("bcj,bc->bj", others, pull) * is_open / torch.where(is_open, gaps, 1)
    change: Axis = torch.einsum("bcj,bj->bc", others, turns)
    return first + (change - change.detach())


def _finite(table: Table) -> Table:
    """Return what can be decomposed; what is not finite is for the caller to find in the map."""
    return torch.where(table.isfinite(), table, 0).detach()
