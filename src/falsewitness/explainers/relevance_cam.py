"""Relevance-CAM: the feature map, weighted by how relevant each channel is."""

from typing import ClassVar, Literal

import torch

from falsewitness.core import InputError
from falsewitness.core.faults import nearest
from falsewitness.core.shapes import Classes, Features, Logits, Maps
from falsewitness.explainers._relevance import Rules, Run, box
from falsewitness.explainers._relevance_maps import RelevanceMaps
from falsewitness.explainers._relevance_rules import AlphaOneBetaZero
from falsewitness.explainers._relevance_trace import Network, traced
from falsewitness.models import Classifier

_EPSILON = 1e-6
"""What keeps denominators from zero."""


class RelevanceCam(RelevanceMaps):
    """Feature maps weighted by their channels' relevance (Lee et al. 2021, Relevance-CAM).

    The map is ``sum_k alpha_k A_k``: ``A`` the layer's output, ``alpha_k`` the relevance of channel ``k``, averaged
    over positions. Relevance is propagated down to the layer by the alpha1-beta0 rule, contrastively: the class
    explained starts with 1, each of the ``N`` others with ``-1 / N``. Unlike Grad-CAM's, the weights are no gradients,
    which at early layers are noise.
    """

    kind: Literal["relevance_cam"] = "relevance_cam"

    layer: str | None = None
    """The layer whose output is weighted, a name from the network's named_modules(); null for the last feature map."""

    source: ClassVar[str] = (
        "Lee et al., Relevance-CAM: your model already knows where to look, CVPR 2021; contrastive relevance: Gu et "
        "al., Understanding individual decisions of CNNs via contrastive backpropagation, ACCV 2018"
    )

    @property
    def passes_per_map(self) -> float:
        """What a map costs in training, measured with a ResNet-18 on a CPU; most where the layer is an early one."""
        return 1.0 if self.layer is None else 3.0

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map without gradients cost, likewise."""
        return 0.4 if self.layer is None else 1.0

    def _check_model(self, model: Classifier) -> None:
        super()._check_model(model)
        self._place(traced(model, self.kind))

    def _rules(self, model: Classifier) -> Rules:
        rule = AlphaOneBetaZero(_EPSILON)
        return Rules(box(model, _EPSILON), rule, rule, _EPSILON)

    def _map(self, model: Classifier, done: Run, classes: Classes) -> Maps:
        place = self._place(done.network)
        features = done.values[place]
        if features.ndim != 4:
            raise InputError(
                f"expected layer '{self.layer}' to give a feature map [batch, channels, height, width], got shape "
                f"{tuple(features.shape)}"
            )
        relevance = done.relevance_at(place, _contrast(done.logits, classes), self._rules(model))
        return _weighted(features, relevance)

    def _place(self, network: Network) -> str:
        """Return what the network calls the layer's output."""
        if self.layer is not None and self.layer not in network.outputs:
            raise InputError(f"the model has no layer '{self.layer}'; {nearest(self.layer, network.outputs)}")
        place = network.features if self.layer is None else network.outputs[self.layer]
        if all(place != step.name for step in network.steps):
            what = "the last feature map" if self.layer is None else f"the output of layer '{self.layer}'"
            raise InputError(
                f"explainer '{self.kind}' cannot weight {what}: expected "
                "one that counts by itself, which a convolution's does not that is folded into the batch norm after "
                "it; choose that batch norm, or a later layer"
            )
        return place


def _contrast(logits: Logits, classes: Classes) -> Logits:
    """Return where relevance starts: with 1 for the class, and as much less among the others.

    As in the authors' code it starts with these numbers and not with logits: one below zero would turn the map round.
    """
    others = torch.full_like(logits, -1 / max(1, logits.shape[1] - 1))
    return others.scatter(1, classes[:, None], 1.0)


def _weighted(features: Features, relevance: Features) -> Maps:
    return (relevance.mean((2, 3), keepdim=True) * features).sum(1)
