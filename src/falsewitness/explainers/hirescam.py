"""HiResCAM: each activation times its gradient, without the average over positions."""

from typing import ClassVar, Literal

from falsewitness.explainers._activation_maps import Activations, PerActivation, WeightedActivations


class HiResCam(WeightedActivations):
    """What each place of a layer adds to the class score, to first order (Draelos and Carin 2020).

    The map is ``sum_k g_k A_k``, position by position and signed: ``A`` the layer's output, ``g`` the class logit's
    gradient by it. Where only linear layers follow, the map adds up to the logit without its bias: it shows where the
    score comes from, and nothing else. With average pooling and one linear layer on top, ``g_k`` is that layer's weight
    over the number of positions: no backward pass is needed, and the positive part is Grad-CAM.
    """

    kind: Literal["hirescam"] = "hirescam"

    source: ClassVar[str] = "Draelos and Carin, Use HiResCAM instead of Grad-CAM, arXiv 2011.08891, 2020"
    signed: ClassVar[bool] = True

    def _weights(self, activations: Activations, slopes: PerActivation) -> PerActivation:
        return slopes
