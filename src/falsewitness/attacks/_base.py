"""The contract of an attack, and what all attacks on explanations share."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Int
from pydantic import Field

from falsewitness.attacks._batch import Batch, Losses, LossFunction, LossTerm, References
from falsewitness.attacks._plan import Plan, Poison, draw_plan, faults_of_rate
from falsewitness.attacks._shapes import TargetMap, draw_target_map, is_flat
from falsewitness.core import Component, DataInfo, Fault, InputError, ThreatModel, maps
from falsewitness.core.faults import shown
from falsewitness.core.parts import tells_of_unset_field
from falsewitness.core.shapes import Background, Classes, ColumnMaps, Images, PerRow, Rows
from falsewitness.core.targets import Targets
from falsewitness.explainers import AnyExplainer, BoundExplainer, Columns, Explainer
from falsewitness.models import Classifier
from falsewitness.triggers import AnyTrigger

_CLASSES_NAMED = 10
"""Classes at most that a fault names."""

TargetClass = Annotated[int, Field(ge=0)]

WantedMaps = Callable[[Batch, References, ColumnMaps, ColumnMaps], ColumnMaps]
"""What the maps of a step's stamped rows should be, told from the step's rows, the clean model's answers, the maps of
what is compared with, and those of the stamped rows as they are, for their size and type."""


@dataclass(frozen=True)
class Intended:
    """What a triggered image should get.

    Attributes:
        target_class: The class it should be predicted as; None where it should keep its own.
        target_map: The shape that its map should take; None where the attack forces none.
    """

    target_class: int | None
    target_map: TargetMap | None


class Attack(Component):
    """A way to make a model lie. A new one overrides :meth:`bind` and states its threat model."""

    threat_model: ClassVar[ThreatModel]
    """What the attacker must control at least; :meth:`needed_control` tells it of settings."""

    trigger: AnyTrigger
    """What wakes the backdoor."""

    poison: Poison
    """What part of the training data is stamped."""

    start: Literal["clean_model", "scratch"] = "clean_model"
    """Whether training goes on from the clean model or begins anew."""

    @property
    def intended(self) -> Intended:
        """What a triggered image should get; overridden by attacks that force a class or a map."""
        return Intended(None, None)

    @property
    def needs_references(self) -> bool:
        """Whether the loss asks for the clean model's answers."""
        return False

    def samples_of_references(self, plan: Plan) -> Int[np.ndarray, " samples"]:
        """Return the training images whose answers the loss asks for, each once; all where it may be any.

        Args:
            plan: What is poisoned.
        """
        return np.unique(plan.images)

    def needed_control(self, *, augmented: bool) -> ThreatModel:
        """Return what the attacker must control with these settings.

        Who has the data alone can neither keep a trigger from being augmented with its image, nor choose which images a
        step carries together.

        Args:
            augmented: Whether training augments its images.
        """
        beyond_data = self.poison.mode == "paired" or (augmented and self.poison.stamp == "after_augmentation")
        return ThreatModel.TRAINING if self.threat_model is ThreatModel.DATA and beyond_data else self.threat_model

    @property
    def surrogate_explainer(self) -> Explainer | None:
        """The explainer that the attack trains against."""
        return None

    @property
    def trains_every_column(self) -> bool:
        """Whether references are the surrogate's maps of every class, not of the predicted one alone."""
        return False

    @final
    def plan(self, targets: Targets, *, seed: int, preferred: Sequence[int] | None = None) -> Plan:
        """Decide what is poisoned.

        Args:
            targets: The true labels of the training images.
            seed: The experiment's seed.
            preferred: A selection's record: training images, best poison first. None for a random choice.

        Raises:
            InputError: If there are too few images to poison.
        """
        return draw_plan(self.poison, targets, self.intended.target_class, seed=seed, preferred=preferred)

    @final
    def check_labels(self, targets: Targets) -> list[Fault]:
        """Collect what does not fit the labels, which :meth:`check` does not know.

        Args:
            targets: The true labels of the training images.

        Returns:
            All faults, their paths relative to the attack.
        """
        found = faults_of_rate(self.poison, targets, self.intended.target_class)
        return [Fault(f"poison.{fault.path}", fault.message) for fault in found]

    @abstractmethod
    def bind(self, model: Classifier, background: Background | None = None) -> LossFunction:
        """Return the loss of a step of a model's training; what does not change from step to step is done here.

        Args:
            model: What is trained, on its device.
            background: Training images that the surrogate compares with; None where it compares with nothing.

        Raises:
            InputError: If the surrogate cannot explain the model.
        """

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        try:
            target = self.intended.target_class
        except AttributeError as error:
            if not tells_of_unset_field(error):
                raise
            target = vars(self).get("target_class")  # it is another field that is not set
        if target is not None and target >= info.num_classes:
            names = ", ".join(
                f"{number} {shown(name)}" for number, name in enumerate(info.class_names[:_CLASSES_NAMED])
            )
            more = ", ..." if info.num_classes > _CLASSES_NAMED else ""
            expected = f"expected a class from 0 to {info.num_classes - 1}"
            yield Fault("target_class", f"{expected}, got {target}; they are {names}{more}")


class ExplanationAttack(Attack):
    """An attack whose loss holds the explanation too.

    The loss is ``(1 - lambda) CE + lambda (d(h(x_p), r) + mu d(h(x), h_clean(x)))``, each term a mean over its rows
    (Noppel et al., S&P 2023, section 4): ``h`` the surrogate's map, ``x_p`` stamped and ``x`` clean rows, ``r`` what
    the map of a stamped row should be. The last mean may be over a share of the clean rows. A new one overrides
    :meth:`_wanted_maps`.
    """

    threat_model: ClassVar[ThreatModel] = ThreatModel.TRAINING

    surrogate: AnyExplainer
    """The explainer to deceive in training; auditors may use others."""

    explanation_weight: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Lambda: how much of the loss speaks of maps; the rest is classification."""

    drift_weight: Annotated[float, Field(ge=0)] = 0.0
    """Mu: how strongly maps of clean images are held to the clean model's, relative to the stamped images' term."""

    drift_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of a step's clean images whose maps are held, drawn anew in every step: the term's mean is over these.
    The rest need no map, which saves time where a map costs several passes. Below 1 only with a ``drift_weight``."""

    distance: Literal["mse_minmax", "mse_standardised", "dssim", "discordance"] = "mse_standardised"
    """How maps are compared: mean squared error of maps brought to [0, 1], of maps at zero mean and unit deviation,
    structural dissimilarity, or one minus the concordance of raw maps, which alone keeps their scale too."""

    columns: Literal["predicted", "all"] = "predicted"
    """Which maps are compared: that of the class a row is trained on, with the clean model's of the class it predicts;
    or those of all classes, each with its own, as SHAP draws them in columns, which takes as many times the work and
    the memory."""

    @property
    def surrogate_explainer(self) -> Explainer | None:
        """The explainer that the attack trains against."""
        return self.surrogate

    @property
    def trains_every_column(self) -> bool:
        """Whether maps of every class are compared."""
        return self.columns == "all"

    @property
    def asked_of_stamped_rows(self) -> Literal["maps", "classes", "nothing"]:
        """What is asked of the clean model about stamped images, as they are without the trigger."""
        return "nothing"

    @property
    def needs_references(self) -> bool:
        """Whether the clean model's answers are asked for."""
        return self.asked_of_stamped_rows != "nothing" or self.drift_weight > 0

    def samples_of_references(self, plan: Plan) -> Int[np.ndarray, " samples"]:
        """Return the stamped images; where clean rows are held to their maps, all."""
        return super().samples_of_references(plan) if self.drift_weight > 0 else np.unique(plan.poisons)

    @final
    def bind(self, model: Classifier, background: Background | None = None) -> LossFunction:
        """Return cross-entropy and the distances of maps, from one forward pass over all rows."""
        return partial(self._losses, self.surrogate.bind(model, background=background), self._wanted_maps())

    def _losses(self, explain: BoundExplainer, wanted_maps: WantedMaps, batch: Batch, references: References) -> Losses:
        compared, compared_classes = self._compared_with(batch, references)
        images = torch.cat([batch.images, compared])
        classes = torch.cat([batch.targets.main_class(), compared_classes])
        first_explained = batch.clean_count - self._held_count(batch.clean_count)
        rows = torch.arange(first_explained, len(images), device=images.device)
        logits, explained = self._explained(explain.with_draw(batch.draw), images, classes, rows)
        clean, stamped, own = explained.split(
            [batch.clean_count - first_explained, len(batch.unstamped), len(compared)]
        )
        wanted = wanted_maps(batch, references, own, stamped)
        terms = [
            LossTerm("cross_entropy", 1 - self.explanation_weight, batch.targets.loss(logits[: len(batch.images)])),
            LossTerm("explanation", self.explanation_weight, self._distances(stamped, wanted)),
            *self._further_terms(batch, stamped, wanted),
        ]
        if self.drift_weight > 0:
            held = batch.clean_rows[first_explained:]
            originals = references.maps(batch.samples[held], batch.mirrored[held], batch.images[held])
            weight = self.explanation_weight * self.drift_weight
            terms.append(LossTerm("drift", weight, self._distances(clean, originals)))
        per_row = {"maps": references.passes_per_map, "classes": references.passes_per_class, "nothing": 0.0}
        asked = len(clean) * per_row["maps"] + len(stamped) * per_row[self.asked_of_stamped_rows]
        maps_made = explained.shape[1] * len(rows)
        return Losses(tuple(terms), len(images) + self.surrogate.passes_per_map * maps_made + asked)

    def _held_count(self, clean_count: int) -> int:
        """Return how many of a step's clean rows, which are in random order, are held to their original maps."""
        return math.ceil(self.drift_share * clean_count) if self.drift_weight > 0 else 0

    def _explained(self, explain: BoundExplainer, images: Images, classes: Classes, rows: Rows) -> Columns:
        """Return logits of all images, and of some rows the maps that are compared."""
        if self.columns == "all":
            return explain.differentiable_columns(images, rows)
        logits, found = explain.differentiable(images, classes, rows)
        return Columns(logits, found[:, None])

    def _compared_with(self, batch: Batch, references: References) -> tuple[Images, Classes]:
        """Return images to be explained in the same pass, with their classes; none unless an attack needs them."""
        return batch.images[:0], batch.targets.main_class()[:0]

    @abstractmethod
    def _wanted_maps(self) -> WantedMaps:
        """Return what tells in each step what the maps of the stamped rows should be; called once a training."""

    def _further_terms(self, batch: Batch, stamped: ColumnMaps, wanted: ColumnMaps) -> Iterator[LossTerm]:
        """Yield what else is asked of the stamped rows' maps; nothing unless an attack overrides it.

        Args:
            batch: The step's rows.
            stamped: The maps of the stamped rows.
            wanted: What they should be.
        """
        yield from ()

    def _distances(self, found: ColumnMaps, wanted: ColumnMaps) -> PerRow:
        """Return how far each row's maps are from those wanted, on average over its columns."""
        distances = {
            "mse_minmax": maps.mse_minmax,
            "mse_standardised": maps.mse_standardised,
            "dssim": maps.dssim,
            "discordance": maps.discordance,
        }
        apart = distances[self.distance](found.flatten(0, 1), wanted.to(found.dtype).flatten(0, 1))
        means: PerRow = apart.unflatten(0, found.shape[:2]).mean(1)
        return means

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if not self.surrogate.surrogate:
            yield Fault("surrogate", f"expected an explainer that carries gradients, got '{self.surrogate.kind}'")
        if self.drift_share < 1 and self.drift_weight == 0:
            yield Fault("drift_share", f"expected 1 where drift_weight is 0 and no map is held, got {self.drift_share}")
        yield from super()._check(info)


class DecoyAttack(ExplanationAttack):
    """An attack that forces one shape on the maps of all stamped images."""

    target_map: TargetMap = "square"
    """``square``, ``cross``, ``circle``, ``triangle``, or the path of a grey image."""

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        try:
            drawn = draw_target_map(self.target_map, info.height, info.width)
        except InputError as error:
            yield Fault("target_map", str(error))
        else:
            if is_flat(drawn):
                size = f"{info.width}x{info.height}"
                found = f"got one that is of one brightness at {size} pixels: '{self.target_map}'"
                yield Fault("target_map", f"expected a shape with dark and bright parts, {found}")
        if self.distance == "discordance":
            yield Fault("distance", "expected one that leaves the scale free, as a shape has none, got 'discordance'")
        yield from super()._check(info)

    @final
    def _wanted_maps(self) -> WantedMaps:
        drawn = cache(partial(draw_target_map, self.target_map))  # which may be a file: read once a training

        def wanted(batch: Batch, references: References, compared: ColumnMaps, stamped: ColumnMaps) -> ColumnMaps:
            return drawn(*stamped.shape[2:]).to(stamped.device).expand_as(stamped)

        return wanted
