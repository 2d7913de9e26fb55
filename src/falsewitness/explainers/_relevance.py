"""Relevance of a class's logit, handed back from layer to layer (Bach et al. 2015)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from falsewitness.core import InputError
from falsewitness.core.precision import at_least_single
from falsewitness.core.shapes import Images, Logits
from falsewitness.explainers._relevance_layers import (
    Addition,
    Average,
    Maximum,
    Normalisation,
    Rearrangement,
    Rectifier,
    Weighted,
)
from falsewitness.explainers._relevance_rules import Box, Rule, pulled_back, stabilised
from falsewitness.explainers._relevance_trace import INSTEAD, Network, Step, traced
from falsewitness.models import Classifier


@dataclass(frozen=True)
class Rules:
    """Which rule each layer follows.

    Attributes:
        pixels: Of convolutions that read the pixels.
        convolutions: Of all others.
        linear: Of linear layers.
        epsilon: What stabilises the shares in averages and sums.
    """

    pixels: Rule
    convolutions: Rule
    linear: Rule
    epsilon: float


@dataclass(frozen=True)
class Run:
    """What all layers of a model gave for some images, with running statistics in batch norm.

    Attributes:
        network: The layers.
        values: What :meth:`Network.values` gave.
    """

    network: Network
    values: dict[str, Tensor]

    @property
    def logits(self) -> Logits:
        """What the model says."""
        return self.values[self.network.logits]

    def relevance_at(self, place: str, start: Logits, rules: Rules) -> Tensor:
        """Return the relevance of what some layer gives, or of the pixels; linear in that of the logits.

        Args:
            place: A name of the network's.
            start: The relevance of the logits.
            rules: Which rule each layer follows.
        """
        found = {self.network.logits: start}
        with torch.autocast(start.device.type, enabled=False):
            for step in reversed(self.network.steps):
                if step.name == place:
                    break
                if step.name in found:  # else nothing that leads to the logits
                    for name, share in zip(step.inputs, self._shares(step, found.pop(step.name), rules), strict=True):
                        found[name] = found[name] + share if name in found else share
        return found[place] if place in found else torch.zeros_like(self.values[place])

    def _shares(self, step: Step, relevance: Tensor, rules: Rules) -> list[Tensor]:
        inputs, outputs = [self.values[name] for name in step.inputs], self.values[step.name]
        layer = step.layer
        match layer:
            case Weighted():
                return [_rule_of(step, layer, self.network, rules)(layer, inputs[0], outputs, relevance)]
            case Rectifier():
                return [relevance]
            case Maximum() | Rearrangement():
                return [pulled_back(layer, inputs[0], relevance)]
            case Average():
                return [inputs[0] * pulled_back(layer, inputs[0], relevance / stabilised(outputs, rules.epsilon))]
            case Addition():
                ratio = relevance / stabilised(outputs, rules.epsilon)
                return [part * ratio for part in inputs]
            case Normalisation():
                raise AssertionError("expected check_rules() to have refused this network")


def run(model: Classifier, images: Images, kind: str) -> Run:
    """Run a model layer by layer, in single precision at least: relevance is divided by small sums.

    Args:
        model: What is explained.
        images: Raw pixels.
        kind: The explainer, for what is said of a model that it cannot explain.
    """
    network = traced(model, kind)
    with torch.autocast(images.device.type, enabled=False):
        return Run(network, network.values(model.normalised(at_least_single(images))))


def box(model: Classifier, epsilon: float) -> Box:
    """Return the rule for pixels that lie between black and white, as the network sees these."""
    return Box(-model.mean / model.std, (1 - model.mean) / model.std, epsilon)


def check_rules(network: Network, rules: Rules, kind: str) -> None:
    """Refuse a network that the rules cannot explain.

    Args:
        network: The layers.
        rules: Which rule each layer follows.
        kind: The explainer, for what is said.

    Raises:
        InputError: With the first layer that there is no rule for.
    """
    never_negative: set[str] = set()
    for step in network.steps:
        inputs_are = all(name in never_negative for name in step.inputs)
        if isinstance(step.layer, Normalisation):
            raise InputError(
                f"explainer '{kind}' has no rule for {step.where}: expected every batch norm to stand right behind a "
                f"convolution whose output nothing else sees, into which it is folded; {INSTEAD}"
            )
        if isinstance(step.layer, Weighted):
            if _rule_of(step, step.layer, network, rules).expects_no_negatives and not inputs_are:
                raise InputError(
                    f"explainer '{kind}' has no rule for {step.where}, whose inputs may be negative: expected inputs "
                    "that a ReLU gave; only explainer 'lrp' with the composite 'epsilon' takes others"
                )
        elif inputs_are or isinstance(step.layer, Rectifier):
            never_negative.add(step.name)


def _rule_of(step: Step, layer: Weighted, network: Network, rules: Rules) -> Rule:
    if isinstance(layer.module, nn.Linear):
        return rules.linear
    return rules.pixels if step.inputs == (network.pixels,) else rules.convolutions
