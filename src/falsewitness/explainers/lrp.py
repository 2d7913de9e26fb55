"""Layer-wise relevance propagation: the logit, handed back from layer to layer down to the pixels."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from falsewitness.core.shapes import Classes, Maps
from falsewitness.explainers._relevance import Rules, Run, box
from falsewitness.explainers._relevance_maps import RelevanceMaps
from falsewitness.explainers._relevance_rules import AlphaOneBetaZero, Epsilon, Gamma
from falsewitness.models import Classifier

Composite = Literal["epsilon_gamma_box", "epsilon_alpha1_beta0_box", "epsilon"]


class Lrp(RelevanceMaps):
    """What each pixel contributes to the class logit, shared out layer by layer (Bach et al. 2015; LRP).

    The relevance of the logit is the logit itself. Each layer hands the relevance of its outputs on to its inputs in
    proportion to what they contributed, by a rule that `composite` chooses (Montavon et al. 2019, section 10.2); batch
    norm is folded into the convolution before it, with running statistics. The map is the relevance of the pixels,
    summed over the colour channels. It adds up to the logit but for what the biases take and the stabiliser.
    """

    kind: Literal["lrp"] = "lrp"

    composite: Composite = "epsilon_gamma_box"
    """Which rule each layer follows: epsilon in linear layers, gamma or alpha1-beta0 in convolutions and the box rule
    (z-B) in those that read the pixels; or epsilon everywhere."""

    epsilon: Annotated[float, Field(ge=1e-12, le=1)] = 1e-6
    """What keeps denominators from zero, in units of a layer's outputs; larger ones absorb weak relevance."""

    gamma: Annotated[float, Field(ge=0, le=1000)] = 0.25
    """How much weights in favour count more than others, in the gamma rule; 0 makes it the epsilon rule."""

    source: ClassVar[str] = (
        "Bach et al., On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance "
        "propagation, PLOS ONE 2015; Montavon et al., Layer-wise relevance propagation: an overview, 2019, table 10.1"
    )

    @property
    def passes_per_map(self) -> float:
        """What a map costs in training, measured with a ResNet-18 on a CPU."""
        return {"epsilon_gamma_box": 6.0, "epsilon_alpha1_beta0_box": 4.0, "epsilon": 3.0}[self.composite]

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map without gradients cost, likewise."""
        return {"epsilon_gamma_box": 2.0, "epsilon_alpha1_beta0_box": 1.2, "epsilon": 1.0}[self.composite]

    def _map(self, model: Classifier, done: Run, classes: Classes) -> Maps:
        start = torch.zeros_like(done.logits).scatter(1, classes[:, None], done.logits.gather(1, classes[:, None]))
        return done.relevance_at(done.network.pixels, start, self._rules(model)).sum(1)

    def _rules(self, model: Classifier) -> Rules:
        epsilon = Epsilon(self.epsilon)
        if self.composite == "epsilon":
            return Rules(epsilon, epsilon, epsilon, self.epsilon)
        is_gamma = self.composite == "epsilon_gamma_box"
        convolutions = Gamma(self.gamma, self.epsilon) if is_gamma else AlphaOneBetaZero(self.epsilon)
        return Rules(box(model, self.epsilon), convolutions, epsilon, self.epsilon)
