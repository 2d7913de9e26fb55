"""Grad-CAM++: Grad-CAM with more weight for channels that speak for the class in few places."""

from typing import ClassVar, Literal

import torch

from falsewitness.explainers._activation_maps import Activations, PerActivation, WeightedActivations


class GradCamPlusPlus(WeightedActivations):
    """Grad-CAM weighted by higher derivatives, for several or small objects of a class (Chattopadhay et al. 2018).

    The map is ``relu(sum_k w_k A_k)`` with ``w_k = sum_ij alpha_kij relu(g_kij)``: ``A`` the layer's output, ``g`` the
    class logit's gradient by it. The paper explains the exponential of the logit, of which all derivatives by ``A`` are
    powers of ``g``: ``alpha_kij = g_kij^2 / (2 g_kij^2 + g_kij^3 sum_ab A_kab)`` (equation 19), that is
    ``1 / (2 + g_kij sum_ab A_kab)``. The exponential itself remains as a factor of the whole map; it is left out,
    because it overflows for large logits and changes nothing but the map's scale.

    ``alpha`` is 0 where its denominator is 0: where ``g`` is 0, and there it would not count anyway, or where
    ``g_kij sum_ab A_kab`` is exactly -2. This needs negative activations; behind a ReLU the denominator of the shorter
    form is at least 2 wherever ``alpha`` counts. At a layer with negative outputs ``alpha`` has poles, and may be large
    or negative: name a layer behind a ReLU.

    With average pooling and one linear layer on top, ``w_k = relu(v_k) / (2 + v_k mean A_k)`` with that layer's weights
    ``v``: no backward pass is needed.
    """

    kind: Literal["gradcam_plus_plus"] = "gradcam_plus_plus"

    source: ClassVar[str] = "Chattopadhay et al., Grad-CAM++, WACV 2018, equation 19"

    def _weights(self, activations: Activations, slopes: PerActivation) -> PerActivation:
        height, width = activations.shape[-2:]
        denominator = 2 + slopes * activations.sum((-2, -1), keepdim=True)
        is_defined = denominator != 0
        alpha = is_defined / torch.where(is_defined, denominator, 1)
        # Not a sum: slopes that are the same at all positions come only once.
        return height * width * (alpha * slopes.relu()).mean((-2, -1), keepdim=True)
