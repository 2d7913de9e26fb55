"""The contract of a metric: evidence in, measurements with spread out."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, final

import numpy as np
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from falsewitness.core import Component
from falsewitness.core.shapes import Classes, Images, Logits, Maps, Mask, PerRow
from falsewitness.core.targets import Targets


@dataclass(frozen=True)
class Measurement:
    """One number with what it takes to judge it.

    Attributes:
        name: The quantity, for example ``standardised_mse``.
        value: The number; None where it is undefined (no sample left).
        n: Samples it is computed from.
        low: Lower end of its 95 % interval; None where there is none.
        high: Upper end.
        interval: How the interval was made.
        samples: ``all``, or ``successes``: only samples on which the attack succeeded.
        excluded: The other samples: those for which the quantity is undefined (constant maps), or which do
            not count (images of the target class in an attack success rate).
        per_class: The value among the samples of each true class, by class name.
        values: ``[images]``: what the value is the mean of, a number an image in the evidence's order, NaN where
            the image is excluded, so that two runs can be compared image by image. None for what is no mean over
            images, and for ``successes``, which are other images in another run.
    """

    name: str
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    interval: Literal["wilson", "agresti_min", "bootstrap", "none"] = "none"
    samples: Literal["all", "successes"] = "all"
    excluded: int = 0
    per_class: Mapping[str, float] = field(default_factory=dict)
    values: Float32[np.ndarray, " images"] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class PredictionEvidence:
    """The logits of all models on all test images.

    Attributes:
        targets: True labels.
        class_names: One a class.
        target_class: The class that triggered images should get; None where an attack keeps the label, or
            without attack.
        attacked_clean: The examined model on untriggered images.
        attacked_triggered: The examined model on triggered images; None without attack.
        clean_model_clean: The clean model on untriggered images.
        clean_model_triggered: The clean model on triggered images; None without attack.
        control_clean: The control on untriggered images; None where there is none.
        seed: Seed of bootstrap intervals.
    """

    targets: Targets
    class_names: tuple[str, ...]
    target_class: int | None
    attacked_clean: Logits
    attacked_triggered: Logits | None
    clean_model_clean: Logits
    clean_model_triggered: Logits | None
    control_clean: Logits | None
    seed: int


@dataclass(frozen=True)
class MapEvidence:
    """One auditor's maps of the map samples: test images of non-target classes, in the same order throughout.

    Attributes:
        images: The clean images.
        classes: True class of every sample.
        class_names: One a class.
        predicted: The class that the clean model predicts for the untriggered image.
        success: Whether the attack did to the prediction what it intends (changed it to the target, or kept
            it).
        attacked_triggered: The attacked model's maps of the triggered images, for the class it predicts.
        attacked_clean: The attacked model's maps of the clean images.
        clean_model_clean: The clean model's maps of the clean images: the *original* maps.
        clean_model_triggered: The clean model's maps of the triggered images.
        target_map: ``[map_height, map_width]``: the shape that the attack forces on every map, or None.
        signed: Whether the explainer's maps may be negative: then their mass is their absolute value.
        gains: What the values of each ``attacked_triggered`` map add up to, by the explainer's promise: the attacked
            model's score of the class that it predicts, less the mean of that score over the background set. None of an
            explainer that promises nothing of the kind.
        mask: ``[height, width]``: the pixels of the trigger, at the image's size.
        validation_triggered: The attacked model's maps of triggered validation images, to train a detector.
        validation_clean: Its maps of the same validation images without trigger.
        clean_model_validation_triggered: The clean model's of the triggered ones, for a detector to compare with.
        clean_model_validation_clean: The clean model's of the same without trigger.
        seed: Seed of bootstrap intervals.
    """

    images: Images
    classes: Classes
    class_names: tuple[str, ...]
    predicted: Classes
    success: Bool[Tensor, " batch"]
    attacked_triggered: Maps
    attacked_clean: Maps
    clean_model_clean: Maps
    clean_model_triggered: Maps
    target_map: Float[Tensor, "map_height map_width"] | None
    signed: bool
    gains: PerRow | None
    mask: Mask
    validation_triggered: Float[Tensor, "validation map_height map_width"]
    validation_clean: Float[Tensor, "validation map_height map_width"]
    clean_model_validation_triggered: Float[Tensor, "validation map_height map_width"]
    clean_model_validation_clean: Float[Tensor, "validation map_height map_width"]
    seed: int


@dataclass(frozen=True)
class StampEvidence:
    """Images before and after stamping.

    Attributes:
        images: Raw pixels.
        stamped: The same images with the trigger.
        seed: Seed of bootstrap intervals.
    """

    images: Images
    stamped: Images
    seed: int


_LOGITS = (
    "attacked_clean",
    "attacked_triggered",
    "clean_model_clean",
    "clean_model_triggered",
    "control_clean",
)
_PER_SAMPLE = ("classes", "predicted", "success")
_MAPS = ("attacked_triggered", "attacked_clean", "clean_model_clean", "clean_model_triggered")
_VALIDATION_MAPS = (
    "validation_triggered",
    "validation_clean",
    "clean_model_validation_triggered",
    "clean_model_validation_clean",
)


class Metric(Component):
    """A way to measure: a :class:`PredictionMetric`, :class:`MapMetric` or :class:`StampMetric`."""


class PredictionMetric(Metric):
    """Measured once a model, from predictions on all test images."""

    @final
    def measure(self, evidence: PredictionEvidence) -> list[Measurement]:
        """Return the measurements; none where the evidence has no trigger and the metric needs one.

        Raises:
            ValueError: If rows or classes do not agree.
        """
        expected = (len(evidence.targets), len(evidence.class_names))
        for name in _LOGITS:
            logits = getattr(evidence, name)
            if logits is not None and tuple(logits.shape) != expected:
                raise ValueError(f"expected {name} of shape {expected}, got {tuple(logits.shape)}")
        return self._measure(evidence)

    @abstractmethod
    def _measure(self, evidence: PredictionEvidence) -> list[Measurement]: ...


class MapMetric(Metric):
    """Measured once a model and auditor, from saliency maps."""

    needs_validation_maps: ClassVar[bool] = False
    """Whether it looks at the maps of validation images: they are made where a metric does, else there are none."""

    @final
    def measure(self, evidence: MapEvidence) -> list[Measurement]:
        """Return the measurements; none where the evidence lacks what the metric needs (a target map, gains).

        Raises:
            ValueError: If rows or map sizes do not agree, the mask is empty or a map is not finite.
        """
        rows, *size = evidence.clean_model_clean.shape
        for name in _PER_SAMPLE:
            _expect_shape(name, getattr(evidence, name), (rows,))
        for name in _MAPS:
            _expect_shape(name, getattr(evidence, name), (rows, *size))
        height, width = evidence.mask.shape
        _expect_shape("images", evidence.images, (rows, *evidence.images.shape[1:2], height, width))
        if evidence.gains is not None:
            _expect_shape("gains", evidence.gains, (rows,))
            if tuple(size) != (height, width):
                found = tuple(size)
                raise ValueError(f"expected maps whose values add up at the image's size {height, width}, got {found}")
        if evidence.target_map is not None:
            _expect_shape("target_map", evidence.target_map, size)
        for name in _VALIDATION_MAPS:
            _expect_shape(name, getattr(evidence, name), (len(evidence.validation_clean), *size))
        for name in (*_MAPS, *_VALIDATION_MAPS):
            if not getattr(evidence, name).isfinite().all():
                raise ValueError(f"expected finite maps, got NaN or infinity in {name}")
        if not evidence.mask.any():
            raise ValueError("expected a trigger that touches at least one pixel, got an empty mask")
        return self._measure(evidence)

    @abstractmethod
    def _measure(self, evidence: MapEvidence) -> list[Measurement]: ...


class StampMetric(Metric):
    """Measured once an attack: how visible its trigger is."""

    @final
    def measure(self, evidence: StampEvidence) -> list[Measurement]:
        """Return the measurements.

        Raises:
            ValueError: If the two sets of images differ in shape.
        """
        if evidence.images.shape != evidence.stamped.shape:
            raise ValueError(f"expected equal shapes, got {evidence.images.shape} and {evidence.stamped.shape}")
        return self._measure(evidence)

    @abstractmethod
    def _measure(self, evidence: StampEvidence) -> list[Measurement]: ...


def _expect_shape(name: str, tensor: Tensor, shape: Sequence[int]) -> None:
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"expected {name} of shape {tuple(shape)}, got {tuple(tensor.shape)}")
