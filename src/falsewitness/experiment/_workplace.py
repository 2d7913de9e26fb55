"""What the stages of an experiment share: the spec, the data on the device, where files go, who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch

from falsewitness.attacks import Plan, plan_without_poison, units_of_plan
from falsewitness.core.shapes import Background
from falsewitness.data import Dataset, PixelStore
from falsewitness.experiment._background import background_for
from falsewitness.experiment._digests import eval_digest, train_digest
from falsewitness.experiment._reporter import Reporter
from falsewitness.experiment._run_folder import RunFolder
from falsewitness.experiment._spec import ROLES, Role, Spec
from falsewitness.explainers import BoundExplainer, Explainer
from falsewitness.models import Classifier
from falsewitness.training import Batches, Training, resolve_precision, steps_per_pass


@dataclass(frozen=True)
class Workplace:
    """One experiment, made ready to be worked on.

    Attributes:
        spec: Checked.
        dataset: Its data.
        out: The folder that run folders go into.
        device: Where models are trained.
        reporter: Who is told.
    """

    spec: Spec
    dataset: Dataset
    out: Path
    device: torch.device
    reporter: Reporter

    @cached_property
    def precision(self) -> Literal["fp32", "bf16"]:
        """The precision of forward passes in training, resolved for the device."""
        return resolve_precision(self.spec.precision, self.device)

    @cached_property
    def train_store(self) -> PixelStore:
        """The training images on the device."""
        return PixelStore(self.dataset.train, self.device)

    @cached_property
    def validation_store(self) -> PixelStore:
        """The validation images on the device."""
        return PixelStore(self.dataset.validation, self.device)

    @cached_property
    def test_store(self) -> PixelStore:
        """The test images on the device."""
        return PixelStore(self.dataset.test, self.device)

    def background(self, explainer: Explainer | None) -> Background | None:
        """Return the training images that an explainer compares with, on the device; None where it needs none."""
        if explainer is None:
            return None
        found = background_for(explainer, self.dataset, self.spec.data.split_seed)
        return None if found is None else found.to(self.device)

    def bound(self, explainer: Explainer, model: Classifier) -> BoundExplainer:
        """Return an explainer attached to a model, with what it compares with."""
        return explainer.bind(model, background=self.background(explainer))

    def placed(self, model: Classifier) -> Classifier:
        """Return a model on the device, in the layout in which convolutions are fastest."""
        return model.to(self.device).to(memory_format=torch.channels_last)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The models of the experiment, in the order in which they need one another."""
        return ("clean",) if self.spec.attack is None else ROLES

    def spec_of(self, role: Role) -> Spec:
        """Return the spec that gives a model again; the clean model needs no attack in it."""
        if role != "clean" or self.spec.attack is None:
            return self.spec
        return self.spec.model_copy(update={"name": "clean", "attack": None, "attack_training": None})

    def training(self, role: Role) -> Training:
        """Return how a model is trained."""
        if role == "clean" or self.spec.attack_training is None:
            return self.spec.clean_training
        return self.spec.attack_training

    @cached_property
    def poison_plan(self) -> Plan:
        """What the attack poisons; nothing without an attack."""
        if self.spec.attack is None:
            return plan_without_poison(len(self.dataset.train))
        return self.spec.attack.plan(self.dataset.train.targets, seed=self.spec.seed)

    def batches(self, role: Role) -> Batches:
        """Return what a model is trained on."""
        attack = self.spec.attack if role == "attack" else None
        training = self.training(role)
        return Batches(
            store=self.train_store,
            plan=self.poison_plan if attack else plan_without_poison(len(self.dataset.train)),
            stamp=attack.trigger.bind(self.dataset.info, self.device) if attack else None,
            stamp_order=attack.poison.stamp if attack else "after_augmentation",
            target_class=attack.intended.target_class if attack else None,
            augmentation=training.augmentation,
            batch_size=training.batch_size,
            seed=self.spec.seed,
        )

    def steps(self, role: Role) -> int:
        """Return how many steps a model is trained for; the control takes as many as the attack."""
        training, attack, units = self.training(role), self.spec.attack, len(self.dataset.train)
        if attack is not None and role != "clean":
            units = units_of_plan(attack.poison, units)
        return steps_per_pass(units, training.batch_size) * training.epochs

    def digest(self, role: Role) -> str:
        """Return the digest of all that decides a model's weights; files that the spec names are hashed once."""
        return self.digests[role]

    @cached_property
    def digests(self) -> dict[Role, str]:
        """The digests of all models' weights."""
        return {
            role: train_digest(
                self.spec,
                role,
                self.dataset,
                precision=self.precision,
                steps=None if role == "clean" else self.steps(role),
            )
            for role in self.roles
        }

    def eval_digest(self, role: Role, trained: Mapping[Role, str] | None = None) -> str:
        """Return the digest of all that decides a model's figures.

        Args:
            role: The model.
            trained: The digests of the models' weights; the experiment's own where None. Models that come after the
                one that is measured decide nothing of it.
        """
        digests = self.digests if trained is None else trained
        compared = self.roles[: self.roles.index(role) + 1]
        return eval_digest(self.spec, role, {name: digests[name] for name in compared if name in digests})

    def folder(self, role: Role) -> RunFolder:
        """Return where a model's run is kept; named after it and its digest."""
        label = self.spec.name.replace("/", "-") if role == "attack" else role
        return RunFolder(self.out / f"{label}-{self.digest(role)[:8]}")
