"""What every attack must keep."""

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from falsewitness.attacks import Attack, Batch, Intended, Losses
from falsewitness.conformance._classifiers import (
    ARCHITECTURES,
    Snapshot,
    attached,
    in_frozen_training,
    small_classifier,
)
from falsewitness.conformance._contract import ConformanceError, fitting, noise, repeated, require
from falsewitness.core import DataInfo, InputError, ThreatModel
from falsewitness.core.shapes import Background, Classes, ColumnMaps, Images, Rows
from falsewitness.core.targets import MultiTargets, SingleTargets, Targets
from falsewitness.explainers import Explainer
from falsewitness.models import Architecture, Classifier

_COUNTS = {"clean and stamped rows": (5, 3), "no stamped row": (5, 0), "stamped rows only": (0, 3)}


@dataclass
class _Witness:
    """References that take note whether they were asked."""

    surrogate: Explainer | None
    clean_model: Classifier
    every_column: bool
    asked: list[str] = field(default_factory=list)
    passes_per_map: ClassVar[float] = 0.0
    passes_per_class: ClassVar[float] = 0.0

    def maps(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> ColumnMaps:
        self.asked.append("maps")
        if self.surrogate is None:
            raise ConformanceError("expected surrogate_explainer to be the explainer of the reference maps, got None")
        explain = attached(self.surrogate, self.clean_model)
        return explain.columns(images).maps if self.every_column else explain(images).maps[:, None]

    def classes(self, samples: Rows, mirrored: Bool[Tensor, " rows"], images: Images) -> Classes:
        self.asked.append("classes")
        with torch.no_grad():
            predicted: Classes = self.clean_model(images).argmax(1)
        return predicted


def check_attack(attack: Attack) -> None:
    """Check the plan and the losses of the attack on a small network.

    Raises:
        ConformanceError: With the first promise that it breaks.
    """
    info = fitting(attack)[0]
    _check_statements(attack, info)
    _check_plan(attack, info)
    architecture = _explainable(attack.surrogate_explainer, info)
    for multi_label in (False, True):
        for rows, (clean, stamped) in _COUNTS.items():
            batch = _batch(attack, info, clean, stamped, multi_label=multi_label)
            _check_losses(attack, architecture, info, batch, rows)


def _check_statements(attack: Attack, info: DataInfo) -> None:
    stated = getattr(type(attack), "threat_model", None)
    require(isinstance(stated, ThreatModel), f"expected the class variable threat_model, got {stated!r}")
    intended = attack.intended
    require(isinstance(intended, Intended), f"expected intended to be an Intended, got {intended!r}")
    target = intended.target_class
    require(
        target is None or 0 <= target < info.num_classes,
        f"expected check() to refuse the target class {target} where there are {info.num_classes} classes",
    )
    surrogate = attack.surrogate_explainer
    require(
        surrogate is None or surrogate.surrogate,
        "expected check() to refuse a surrogate that carries no gradients, got no fault",
    )


def _check_plan(attack: Attack, info: DataInfo) -> None:
    targets = SingleTargets(torch.arange(100) % info.num_classes)
    plans = repeated("plan", lambda: attack.plan(targets, seed=1))
    for name, column in plans.first.table().items():
        same = (column == plans.second.table()[name]).all()
        require(bool(same), f"expected the same plan from the same labels and seed, got another column {name}")


def _explainable(surrogate: Explainer | None, info: DataInfo) -> Architecture:
    """Return the first small architecture that the surrogate can explain: it may want a layer by its name."""
    refusals = []
    for architecture in ARCHITECTURES:
        try:
            if surrogate is not None:
                attached(surrogate, small_classifier(architecture, info))(noise(info, 1))
        except InputError as refusal:
            refusals.append(f"{architecture.kind}: {refusal}")
        else:
            return architecture
    raise ConformanceError(f"expected a surrogate that explains a small network, got {'; '.join(refusals)}")


def _batch(attack: Attack, info: DataInfo, clean: int, stamped: int, *, multi_label: bool) -> Batch:
    images = noise(info, clean + stamped)
    classes = torch.arange(clean + stamped) % info.num_classes
    targets: Targets = SingleTargets(classes)
    if multi_label:
        targets = MultiTargets(torch.nn.functional.one_hot(classes, info.num_classes).float())
    target = attack.intended.target_class
    if target is not None:
        rows = torch.arange(clean + stamped)
        targets = targets.select(rows[:clean]).joined(targets.select(rows[clean:]).relabelled(target))
    stamp = attack.trigger.bind(info)
    return Batch(
        images=torch.cat([images[:clean], stamp(images[clean:])]),
        targets=targets,
        samples=torch.arange(clean + stamped),
        mirrored=torch.zeros(clean + stamped, dtype=torch.bool),
        unstamped=images[clean:],
    )


def _background(surrogate: Explainer | None, info: DataInfo) -> Background | None:
    return None if surrogate is None else noise(info, surrogate.background_size, seed=2)


def _check_losses(attack: Attack, architecture: Architecture, info: DataInfo, batch: Batch, rows: str) -> None:
    model = in_frozen_training(small_classifier(architecture, info))
    clean_model = small_classifier(architecture, info)
    witness = _Witness(attack.surrogate_explainer, clean_model, attack.trains_every_column)
    given = [tensor.clone() for tensor in (batch.images, batch.unstamped, batch.targets.values)]
    before = Snapshot(model)
    loss = attack.bind(model, _background(attack.surrogate_explainer, info))
    losses = loss(batch, witness)
    before.require_unchanged("its loss")
    for tensor, name in zip(given, ("images", "unstamped", "targets"), strict=True):
        now = batch.targets.values if name == "targets" else getattr(batch, name)
        require(torch.equal(tensor, now), f"expected its loss to leave the batch alone, but it changed {name}")
    require(
        attack.needs_references or not witness.asked,
        f"expected needs_references to say so, as its loss asks for {' and '.join(witness.asked)}, got False",
    )
    require(
        bool(witness.asked) or not attack.needs_references or len(batch.unstamped) == 0,
        "expected its loss to ask for references, as needs_references says, got no question",
    )
    _check_terms(losses, len(batch.images) + len(batch.unstamped), rows)
    again = loss(batch, witness)
    same = all(torch.equal(one.rows, other.rows) for one, other in zip(losses.terms, again.terms, strict=True))
    require(same, f"expected the same losses of the same batch ({rows}), got others")
    _check_gradients(losses, model, rows)


def _check_terms(losses: Losses, most: int, rows: str) -> None:
    names = [term.name for term in losses.terms]
    require(len(names) > 0 and len(set(names)) == len(names), f"expected terms with names of their own, got {names}")
    for term in losses.terms:
        weighs = math.isfinite(term.weight) and term.weight >= 0
        require(weighs, f"expected a finite weight of at least 0 for term {term.name}, got {term.weight}")
        require(
            term.rows.ndim == 1 and len(term.rows) <= most,
            f"expected term {term.name} as one value a row ({rows}), got {tuple(term.rows.shape)}",
        )
        require(bool(term.rows.isfinite().all()), f"expected finite values in term {term.name} ({rows}), got others")
        require(
            len(term.rows) == 0 or term.weight == 0 or term.rows.requires_grad,
            f"expected term {term.name} to carry gradients to the weights ({rows}), got none",
        )
    passes = losses.passes
    require(math.isfinite(passes) and passes > 0, f"expected a positive number of passes, got {passes}")


def _check_gradients(losses: Losses, model: Classifier, rows: str) -> None:
    total = torch.stack([term.weight * term.rows.mean() for term in losses.terms if len(term.rows)]).sum()
    gradients = torch.autograd.grad(total, tuple(model.parameters()), allow_unused=True)
    reached = [gradient for gradient in gradients if gradient is not None]
    require(any(bool(g.any()) for g in reached), f"expected the loss to reach the weights ({rows}), got no gradient")
    finite = all(bool(gradient.isfinite().all()) for gradient in reached)
    require(finite, f"expected finite gradients ({rows}), got NaN or infinity")
