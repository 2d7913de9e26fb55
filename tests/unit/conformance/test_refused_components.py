"""Triggers, architectures, attacks and metrics that break one promise each: the check must say which."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from falsewitness.attacks import Attack, Batch, Intended, Losses, LossFunction, LossTerm, Poison, References
from falsewitness.conformance import ConformanceError, check_component
from falsewitness.core import Component, DataInfo, Fault, ThreatModel
from falsewitness.core.shapes import Background
from falsewitness.explainers import Explainer
from falsewitness.explainers.gradcam import GradCam
from falsewitness.metrics import Measurement, PredictionEvidence, PredictionMetric
from falsewitness.models import Architecture, Classifier
from falsewitness.triggers import Stamp, Trigger
from falsewitness.triggers.patch import Patch


class Dot(Trigger):
    """Sets the upper left pixel to a value."""

    kind: Literal["dot"] = "dot"
    source: ClassVar[str] = "this test"

    fault: Literal["none", "misfit", "random", "global", "invisible", "nan", "shape", "mask"] = "none"
    """What is wrong with it."""

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self.fault == "misfit":
            yield Fault("", "it never fits")

    def _stamp(self, info: DataInfo) -> Stamp:
        gain, offset = torch.ones(1, info.height, info.width), torch.zeros(1, info.height, info.width)
        gain[0, 0, 0] = 0 if self.fault != "invisible" else 1
        offset[0, 0, 0] = {
            "random": float(np.random.default_rng().random()),
            "global": float(torch.rand(1)) if self.fault == "global" else 0.5,
            "nan": torch.nan,
            "invisible": 0.0,
        }.get(self.fault, 0.5)
        mask = gain[0] < 2 if self.fault != "mask" else gain[0]
        return Stamp(gain[0] if self.fault == "shape" else gain, offset, mask)


class Net(nn.Module):
    def __init__(self, info: DataInfo, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.conv = nn.Conv2d(info.channels, 4, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4, info.num_classes + (fault == "classes"))
        if fault == "unused":
            self.spare = nn.Linear(4, 4)
        self.scale = float(torch.rand(1)) + 1 if fault == "hidden" else 1.0
        if fault == "unseeded":
            nn.init.constant_(self.fc.bias, float(np.random.default_rng().random()))
        if fault == "constant":
            for weight in self.parameters():
                nn.init.constant_(weight, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.forward_head(self.forward_features(images))
        return logits * 2 if self.fault == "forward" else logits

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.relu(self.conv(images)) * self.scale
        if self.fault == "sociable":
            features = features - features.mean(0, keepdim=True)
        return features.flatten(1) if self.fault == "features" else features

    def forward_head(self, features: Tensor) -> Tensor:
        pooled = features if self.fault == "features" else features.mean((2, 3))
        logits: Tensor = self.fc(pooled[:, :4])
        return logits / 0 if self.fault == "infinite" else logits

    def get_classifier(self) -> nn.Linear:
        return self.fc


class Small(Architecture):
    """One convolution and a linear layer."""

    kind: Literal["small"] = "small"
    source: ClassVar[str] = "this test"

    fault: str = "none"
    """What is wrong with it."""

    def _network(self, info: DataInfo) -> nn.Module:
        network = Net(info, self.fault)
        if self.fault == "values":
            network.fc.weight.mean().item()
        return network


class Simple(Attack):
    """Plain cross-entropy."""

    kind: Literal["simple"] = "simple"
    source: ClassVar[str] = "this test"
    threat_model: ClassVar[ThreatModel] = ThreatModel.TRAINING

    fault: str = "none"
    """What is wrong with it."""

    @property
    def intended(self) -> Intended:
        return Intended(99 if self.fault == "target" else 2, None)

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        yield from ()

    @property
    def needs_references(self) -> bool:
        return self.fault in {"asks nothing", "maps"}

    @property
    def surrogate_explainer(self) -> Explainer | None:
        return GradCam(layer="nowhere") if self.fault == "surrogate" else None

    def bind(self, model: Classifier, background: Background | None = None) -> LossFunction:
        return partial(self._losses, model)

    def _losses(self, model: Classifier, batch: Batch, references: References) -> Losses:
        if self.fault == "maps":
            references.maps(batch.samples, batch.mirrored, batch.images)
        if self.fault == "asks":
            references.classes(batch.samples, batch.mirrored, batch.images)
        if self.fault == "mode":
            model.eval()
        if self.fault == "batch":
            batch.images.mul_(0.9)
        rows = batch.targets.loss(model(batch.images))
        if self.fault == "empty stamped" and len(batch.unstamped) == 0:
            rows = rows * torch.nan
        term = LossTerm("cross_entropy", 1.0, rows)
        terms = {
            "reduced": (replace_rows(term, rows.mean()),),
            "detached": (replace_rows(term, rows.detach()),),
            "random": (replace_rows(term, rows * float(np.random.default_rng().random())),),
            "twice": (term, term),
            "nothing": (),
            "weight": (LossTerm("cross_entropy", -1.0, rows),),
            "zero": (replace_rows(term, 0 * rows),),
        }.get(self.fault, (term,))
        return Losses(terms, 0 if self.fault == "passes" else len(batch.images))


def replace_rows(term: LossTerm, rows: Tensor) -> LossTerm:
    return term._replace(rows=rows)


class Stateless(Simple):
    """States no threat model that can be read."""

    threat_model: ClassVar[Any] = "all"


class Accuracy(PredictionMetric):
    """The share of right predictions."""

    kind: Literal["accuracy"] = "accuracy"
    source: ClassVar[str] = "this test"

    fault: str = "none"
    """What is wrong with it."""

    def _measure(self, evidence: PredictionEvidence) -> list[Measurement]:
        n = len(evidence.targets)
        value = float(evidence.targets.correct(evidence.attacked_clean).float().mean()) if n else None
        honest = Measurement("accuracy", value, n)
        if self.fault == "none" or value is None:
            return [honest]
        if self.fault == "evidence":
            evidence.attacked_clean.mul_(2)
        return {
            "random": [replace(honest, value=float(np.random.default_rng().random()))],
            "nothing": [],
            "undefined": [replace(honest, value=None)],
            "count": [replace(honest, n=n + 1)],
            "outside": [replace(honest, low=value + 0.1, high=value + 0.2, interval="wilson")],
            "half": [replace(honest, low=value, interval="wilson")],
            "infinite": [replace(honest, value=float("inf"))],
            "class": [replace(honest, per_class={"unicorn": 0.5})],
            "twice": [honest, honest],
            "kind of values": [replace(honest, values=np.full(n, value))],
            "count of values": [replace(honest, values=np.full(n + 1, value, dtype=np.float32))],
            "excluded values": [replace(honest, values=np.full(n, np.nan, dtype=np.float32))],
            "other values": [replace(honest, values=np.full(n, value + 0.1, dtype=np.float32))],
            "some values": [replace(honest, samples="successes", values=np.full(n, value, dtype=np.float32))],
            "json": [replace(honest, value=np.float32(0.5))],  # type: ignore[arg-type]
        }.get(self.fault, [honest])


def attack(fault: str) -> Attack:
    return Simple(trigger=Patch(), poison=Poison(rate=0.1), fault=fault)


@pytest.mark.parametrize("component", [Dot(), Small(), attack("none"), Accuracy()], ids=lambda c: str(c.kind))
def test_a_component_that_keeps_its_promises_is_accepted(component: Component) -> None:
    check_component(component)


BROKEN: list[tuple[Component, str]] = [
    (Dot(fault="misfit"), "expected it to fit at least one of the images .* 3 channels of 32x32 pixels: it never fits"),
    (Dot(fault="random"), "expected bind to draw the same stamp every time, got another offset"),
    (Dot(fault="global"), "bind changes torch's global random numbers"),
    (Dot(fault="invisible"), "expected the stamp to change at least one pixel of every image"),
    (Dot(fault="nan"), "expected finite numbers in offset"),
    (Dot(fault="shape"), r"expected gain as float32 \[1 or 3, 32, 32\], got torch.float32 \(32, 32\)"),
    (Dot(fault="mask"), r"expected mask as bool \[32, 32\], got torch.float32"),
    (Small(fault="features"), "expected layer 'forward_features' to give a feature map"),
    (Small(fault="classes"), r"expected forward_head to give logits \[batch, 10\], got \(2, 11\)"),
    (Small(fault="infinite"), "expected finite logits of a fresh network"),
    (Small(fault="forward"), "expected the network's forward to be"),
    (Small(fault="values"), "expected a network that can be built without values of weights: "),
    (Small(fault="unseeded"), "expected initial weights that follow from bind's seed alone"),
    (Small(fault="constant"), "expected another seed to give other initial weights"),
    (Small(fault="hidden"), "expected the state_dict to hold all that decides the logits"),
    (Small(fault="sociable"), "expected rows that do not see each other in evaluation mode"),
    (Small(fault="unused"), "expected training to reach every weight, got none to network.spare.weight"),
    (Stateless(trigger=Patch(), poison=Poison(rate=0.1)), "expected the class variable threat_model, got 'all'"),
    (attack("target"), r"expected check\(\) to refuse the target class 99 where there are 10 classes"),
    (attack("surrogate"), "expected a surrogate that explains a small network, got convnet: the model has no layer"),
    (attack("asks nothing"), "expected its loss to ask for references, as needs_references says"),
    (attack("asks"), r"expected needs_references to say so, as its loss asks for classes, got False"),
    (attack("maps"), "expected surrogate_explainer to be the explainer of the reference maps, got None"),
    (attack("mode"), r"expected its loss to leave the model as it was, but it changed the mode"),
    (attack("batch"), r"expected its loss to leave the batch alone, but it changed images"),
    (attack("empty stamped"), r"expected finite values in term cross_entropy \(no stamped row\)"),
    (attack("reduced"), "expected term cross_entropy as one value a row"),
    (attack("detached"), "expected term cross_entropy to carry gradients"),
    (attack("random"), "expected the same losses of the same batch"),
    (attack("twice"), "expected terms with names of their own"),
    (attack("nothing"), "expected terms with names of their own"),
    (attack("weight"), "expected a finite weight of at least 0"),
    (attack("zero"), "expected the loss to reach the weights"),
    (attack("passes"), "expected a positive number of passes, got 0"),
    (Accuracy(fault="random"), "one label: expected the same measurements of the same evidence"),
    (Accuracy(fault="nothing"), "expected values on complete evidence, got none"),
    (Accuracy(fault="undefined"), "expected values on complete evidence, got none"),
    (Accuracy(fault="count"), "one label: accuracy: expected n and excluded to add up to 40, got 41 and 0"),
    (Accuracy(fault="outside"), "accuracy: expected .* inside its interval"),
    (Accuracy(fault="half"), "accuracy: expected both ends of the interval 'wilson'"),
    (Accuracy(fault="infinite"), "accuracy: expected finite numbers"),
    (Accuracy(fault="class"), "accuracy: expected names of classes in per_class, got ..unicorn"),
    (Accuracy(fault="twice"), "one label: expected measurements with names of their own"),
    (Accuracy(fault="kind of values"), "accuracy: expected values in float32 of 40 images, got float64 of shape"),
    (Accuracy(fault="count of values"), r"accuracy: expected values in float32 of 40 images, got float32 of .*41"),
    (
        Accuracy(fault="excluded values"),
        "accuracy: expected values that are NaN where an image is excluded, got 0 other",
    ),
    (Accuracy(fault="other values"), "accuracy: expected values whose mean is "),
    (Accuracy(fault="some values"), "accuracy: expected values of all samples alone, got some of 'successes'"),
    (Accuracy(fault="json"), "accuracy: expected Python's own numbers and strings, got .* float32"),
    (Accuracy(fault="evidence"), "expected measure to leave the evidence alone, but it changed attacked_clean"),
]


@pytest.mark.parametrize(
    ("component", "reason"), BROKEN, ids=[f"{c.kind}-{getattr(c, 'fault', '')}" for c, _ in BROKEN]
)
def test_a_broken_promise_is_named(component: Component, reason: str) -> None:
    with pytest.raises(ConformanceError, match=rf"^{type(component).__name__} '{component.kind}': .*{reason}"):
        check_component(component)


def test_what_is_no_component_of_a_known_kind_is_refused() -> None:
    class Teapot(Component):
        """Short and stout."""

        kind: Literal["teapot"] = "teapot"
        source: ClassVar[str] = "Sanders and Kelley 1939"

    with pytest.raises(ConformanceError, match="expected a trigger, an architecture, an explainer, an attack or"):
        check_component(Teapot())
