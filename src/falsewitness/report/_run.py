"""What a run folder says, as plain frozen data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

Status = Literal["done", "diverged", "failed", "skipped"]
Role = Literal["clean", "control", "attack"]
Model = Literal["clean", "attacked"]
View = Literal["clean", "triggered"]

SIGN_FROM = 1e-4
"""Negative values smaller than this share of the largest value are rounding, not a sign."""


@dataclass(frozen=True)
class Measurement:
    """One number with what it takes to judge it.

    Attributes:
        metric: The metric that gave it.
        name: The quantity.
        value: The number; None where it is undefined.
        n: Samples it is computed from.
        auditor: The explainer whose maps were measured; None where no map was.
        low: Lower end of its 95 % interval; None where there is none.
        high: Upper end.
        interval: How the interval was made.
        samples: ``all``, or ``successes``: only samples on which the attack succeeded.
        excluded: Samples left out because the quantity is undefined for them.
        per_class: The value among the samples of each true class, by class name.
    """

    metric: str
    name: str
    value: float | None
    n: int
    auditor: str | None = None
    low: float | None = None
    high: float | None = None
    interval: str = "none"
    samples: str = "all"
    excluded: int = 0
    per_class: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Attack:
    """How a model was made to deceive.

    Attributes:
        kind: The attack.
        threat_model: What its attacker must control.
        target_class: Name of the class that triggered images should get; None where the label is kept.
        poison_rate: Stamped rows over training images, in (0, 1].
        mode: How stamped rows join the clean ones.
        surrogate: Kind of the explainer trained against; None where the attack has no loss on maps.
        surrogate_auditor: The auditor that is this very explainer; None where none is.
    """

    kind: str
    threat_model: str
    target_class: str | None = None
    poison_rate: float | None = None
    mode: str | None = None
    surrogate: str | None = None
    surrogate_auditor: str | None = None


@dataclass(frozen=True)
class Data:
    """The images a run worked on.

    Attributes:
        kind: The data set.
        fingerprint: Digest of its content.
        channels: 1 or 3.
        height: Pixels.
        width: Pixels.
        class_names: One name a class, in label order.
        train: Number of training images, the hold-out taken off.
        validation: Number of validation images.
        test: Number of test images.
    """

    kind: str
    fingerprint: str
    channels: int
    height: int
    width: int
    class_names: tuple[str, ...]
    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Result:
    """What came of a run: the content of its ``result.json``."""

    status: Status
    role: Role
    name: str
    seed: int
    schema_version: int
    reason: str = ""
    train_digest: str = ""
    eval_digest: str = ""
    command: str = ""
    attack: Attack | None = None
    data: Data | None = None
    parents: Mapping[str, str] = field(default_factory=dict)
    cost: Mapping[str, float | None] = field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()

    @property
    def auditors(self) -> tuple[str, ...]:
        """The explainers whose maps were measured, in the order of the file."""
        return tuple(dict.fromkeys(m.auditor for m in self.measurements if m.auditor is not None))

    @property
    def main_auditor(self) -> str | None:
        """The surrogate if its maps were measured, else the first auditor; None where there is none."""
        surrogate = self.attack.surrogate_auditor if self.attack else None
        return surrogate if surrogate in self.auditors else next(iter(self.auditors), None)

    def find(self, metric: str, name: str, auditor: str | None = None) -> Measurement | None:
        """Return a measurement over all samples, or None where the run has none of that name."""
        wanted = (metric, name, auditor, "all")
        return next((m for m in self.measurements if (m.metric, m.name, m.auditor, m.samples) == wanted), None)


@dataclass(frozen=True)
class Step:
    """One step of training.

    Attributes:
        step: Its number.
        loss: What was minimised; may be infinite or not a number where the run diverged.
        terms: The parts of the loss, by name.
    """

    step: int
    loss: float
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Validation:
    """What was measured on the validation split after an epoch.

    Attributes:
        step: The last step of the epoch.
        values: By name; None where undefined.
    """

    step: int
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Prediction:
    """One model's answers to the gallery's images in one view.

    Attributes:
        classes: ``[samples]``: the predicted class.
        confidences: ``[samples]``: its probability.
    """

    classes: Int[np.ndarray, " samples"]
    confidences: Float[np.ndarray, " samples"]


@dataclass(frozen=True)
class Gallery:
    """The pictures of a run.

    Attributes:
        images: ``[samples, channels, height, width]``: clean test images, 0 to 255.
        triggered: The same images with the trigger; None where the run knows no trigger.
        labels: ``[samples]``: true classes.
        index: ``[samples]``: places in the test split.
        group: ``[samples]``: ``shared``, ``success`` or ``failure``.
        mask: ``[height, width]``: the pixels that the trigger may change; None without trigger.
        predictions: By model and view.
        maps: ``[samples, map_height, map_width]`` by auditor, model and view.
        columns: ``[samples, classes, map_height, map_width]`` likewise: maps of every class, where auditors give them.
        rules: By group: how its images were chosen.
    """

    images: UInt8[np.ndarray, "samples channels height width"]
    triggered: UInt8[np.ndarray, "samples channels height width"] | None
    labels: Int[np.ndarray, " samples"]
    index: Int[np.ndarray, " samples"]
    group: tuple[str, ...]
    mask: Bool[np.ndarray, "height width"] | None
    predictions: Mapping[tuple[str, str], Prediction]
    maps: Mapping[tuple[str, str, str], Float[np.ndarray, "samples map_height map_width"]]
    columns: Mapping[tuple[str, str, str], Float[np.ndarray, "samples classes map_height map_width"]]
    rules: Mapping[str, str]

    @property
    def auditors(self) -> tuple[str, ...]:
        """The explainers that have maps, in the order of the file."""
        return tuple(dict.fromkeys(auditor for auditor, _, _ in self.maps))

    def rows(self, group: str) -> tuple[int, ...]:
        """Return the places of a group's images in the gallery."""
        return tuple(row for row, name in enumerate(self.group) if name == group)

    def signed(self, auditor: str) -> bool:
        """Tell whether any map of the auditor goes below zero by more than rounding."""
        return any(
            bool((maps < -SIGN_FROM * np.abs(maps).max(initial=0)).any())
            for key, maps in self.maps.items()
            if key[0] == auditor
        )


@dataclass(frozen=True)
class Run:
    """Everything a run folder says.

    Attributes:
        folder: Where it was read from.
        result: Its outcome.
        steps: Its training, step by step.
        validations: What was measured after every epoch.
        environment: Versions, device, threads, precision.
        spec: Its specification as it is written in ``spec.yaml``.
        gallery: Its pictures; None where it has none.
    """

    folder: Path
    result: Result
    steps: tuple[Step, ...] = ()
    validations: tuple[Validation, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    spec: str = ""
    gallery: Gallery | None = None

    @property
    def done(self) -> bool:
        """Whether the run came to its end."""
        return self.result.status == "done"
