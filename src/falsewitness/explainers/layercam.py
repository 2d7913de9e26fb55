"""LayerCAM: each activation, weighted by what the class score gains from it in its own place."""

from typing import ClassVar, Literal

from falsewitness.explainers._activation_maps import Activations, PerActivation, WeightedActivations


class LayerCam(WeightedActivations):
    """Activations weighted by their own positive gradients, for maps of early layers, too (Jiang et al. 2021).

    The map is ``relu(sum_k relu(g_k) A_k)``, position by position: ``A`` the layer's output, ``g`` the class logit's
    gradient by it. The paper also joins the maps of several layers, early ones scaled by a hyperbolic tangent; here a
    map is of one layer, and raw. With average pooling and one linear layer on top, ``g_k`` is that layer's weight over
    the number of positions: no backward pass is needed.
    """

    kind: Literal["layercam"] = "layercam"

    source: ClassVar[str] = "Jiang et al., LayerCAM, IEEE Transactions on Image Processing 2021"

    def _weights(self, activations: Activations, slopes: PerActivation) -> PerActivation:
        return slopes.relu()
