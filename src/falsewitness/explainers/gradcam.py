"""Grad-CAM: the feature map, weighted by what the class score gains from each channel."""

from typing import ClassVar, Literal

from falsewitness.explainers._activation_maps import Activations, PerActivation, WeightedActivations


class GradCam(WeightedActivations):
    """Gradient-weighted class activation map (Selvaraju et al. 2017, equations 1 and 2).

    The map is ``relu(sum_k alpha_k A_k)``: ``A`` the layer's output, ``alpha_k`` the class logit's gradient by channel
    ``k``, averaged over positions. With average pooling and one linear layer on top, ``alpha_k`` is that layer's weight
    over the number of positions: no backward pass is needed (section 3.1 there).
    """

    kind: Literal["gradcam"] = "gradcam"

    source: ClassVar[str] = "Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2"

    def _weights(self, activations: Activations, slopes: PerActivation) -> PerActivation:
        return slopes.mean((-2, -1), keepdim=True)
