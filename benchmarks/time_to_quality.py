"""Trains a full disguise and tells after how many seconds it is as good as the strongest published one.

    python benchmarks/time_to_quality.py cifar10-noppel/full-disguise-gradcam --out runs/time

The clean model is trained first, or taken from the folder where it is there; its time does not count. Four times an
epoch the attack is measured on validation images, and the clock stands still meanwhile. It is good enough from the
moment on after which it always succeeds on the wanted share of images with maps that are near enough to the original
ones: as near as the best published ones, or at most 1.25 times as far as the trigger alone moves the clean model's
maps. The schedule is trained to its end, so that two can be compared by how they end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import torch
from _measure import short, table

from falsewitness.attacks import Attack
from falsewitness.core import InputError
from falsewitness.core.maps import is_constant, mse_standardised, upsampled
from falsewitness.experiment import SILENT, choose_device, find_spec
from falsewitness.experiment._predict import predicted
from falsewitness.experiment._train import ensure_trained, losses_of
from falsewitness.experiment._workplace import Workplace
from falsewitness.explainers import Explainer
from falsewitness.models import Classifier, as_audited, load_classifier
from falsewitness.training import Checkpoint, Journal, make_anew, train
from falsewitness.triggers import Stamp

WANTED_SUCCESS, PUBLISHED_DISTANCE = 0.99, 0.106
"""Attack success rate at least; the standardised mean squared error to the original maps of Noppel et al. (2023)."""

OVER_WITHOUT_ATTACK = 1.25
"""Times the difference without attack that counts as near enough, too; that difference is the best to hope for."""

Figures = tuple[float, float, float, float]
"""Accuracy, attack success rate, distance to the original maps and drift."""

TIMES_AN_EPOCH = 4
CHUNK = 500


@dataclass(frozen=True)
class Quality:
    """How good the attack is at one moment, on validation images.

    Attributes:
        seconds: Of training until then, with the making of reference maps.
        epochs: Passes over the plan until then.
        accuracy: On clean images.
        success: Attack success rate.
        distance: Standardised mean squared error of triggered images' maps to the clean model's of the clean images,
            at the images' size.
        drift: The same of clean images' maps.
    """

    seconds: float
    epochs: float
    accuracy: float
    success: float
    distance: float
    drift: float

    def reaches(self, distance: float) -> bool:
        """Tell whether the attack succeeds as wanted and its maps are at most so far away."""
        return self.success >= WANTED_SUCCESS and self.distance <= distance

    @property
    def row(self) -> list[str]:
        """The row of a table."""
        figures = map(short, (self.accuracy, self.success, self.distance, self.drift))
        return [f"{self.seconds:.1f}", f"{self.epochs:.2f}", *figures]


@dataclass(frozen=True)
class Examiner:
    """Measures a model on the validation images.

    Attributes:
        work: The experiment.
        stamp: The trigger.
        target: The class that triggered images should get.
        explainer: The attack's surrogate.
    """

    work: Workplace
    stamp: Stamp
    target: int
    explainer: Explainer

    @property
    def others(self) -> torch.Tensor:
        """The images that the attack changes anything about."""
        return (~self.work.validation_store.targets.has(self.target)).nonzero()[:, 0]

    def maps(self, model: Classifier, stamp: Stamp | None) -> torch.Tensor:
        """Return maps of those images for the predicted class, with the trigger or without, at the images' size."""
        explain, found = self.work.bound(self.explainer, model), []
        for rows in self.others.split(CHUNK):
            images = self.work.validation_store.take(rows)
            found.append(explain(images if stamp is None else stamp(images)).maps)
        return upsampled(torch.cat(found), (self.work.dataset.info.height, self.work.dataset.info.width))

    def distance(self, model: Classifier, stamp: Stamp | None, originals: torch.Tensor) -> float:
        """Return how far the maps of images with the trigger, or without, are from the original ones."""
        maps = self.maps(model, stamp)
        comparable = ~(is_constant(maps) | is_constant(originals))
        return float(mse_standardised(maps, originals)[comparable].mean())

    def measured(self, model: Classifier, originals: torch.Tensor) -> Figures:
        """Return accuracy, attack success rate, the distance to the original maps and the drift."""
        store = self.work.validation_store
        with as_audited(model):
            accuracy = store.targets.correct(predicted(model, store)).float().mean()
            success = (predicted(model, store, self.stamp, self.others).argmax(1) == self.target).float().mean()
            distance, drift = (self.distance(model, stamp, originals) for stamp in (self.stamp, None))
            return float(accuracy), float(success), distance, drift


@dataclass
class Watch:
    """Measures the attack now and then, while its clock stands still.

    Attributes:
        measure: Gives accuracy, success, distance and drift.
        an_epoch: Steps of an epoch.
        started: When the clock was started, later by what it stood still.
        found: What was measured so far.
    """

    measure: Callable[[], Figures]
    an_epoch: int
    started: float = field(default_factory=time.perf_counter)
    found: list[Quality] = field(default_factory=list)

    def told(self, done: int, total: int) -> None:
        """Take note that so many steps are done."""
        if done % max(1, self.an_epoch // TIMES_AN_EPOCH) and done < total:
            return
        stopped = time.perf_counter()
        quality = Quality(stopped - self.started, done / self.an_epoch, *self.measure())
        self.found.append(quality)
        print(" ".join(quality.row), file=sys.stderr, flush=True)
        self.started += time.perf_counter() - stopped


@dataclass(frozen=True)
class Course:
    """What came of a training.

    Attributes:
        without_attack: How far the trigger alone moves the clean model's maps.
        wanted: The distance that is near enough.
        found: What was measured on the way, the last at the end of the schedule.
    """

    without_attack: float
    wanted: float
    found: list[Quality]

    @property
    def reached(self) -> Quality | None:
        """The first from which on the attack is always good enough, None if there is none."""
        good = list(takewhile(lambda quality: quality.reaches(self.wanted), reversed(self.found)))
        return good[-1] if good else None


def course(work: Workplace) -> Course:
    """Train the attack."""
    attack = work.spec.attack
    surrogate, target = _disguise(attack)
    clean = ensure_trained(work, "clean", None)
    assert attack is not None  # noqa: S101 - a disguise is one
    examiner = Examiner(work, attack.trigger.bind(work.dataset.info, work.device), target, surrogate)
    originals = examiner.maps(clean.model, None)
    without_attack = examiner.distance(clean.model, examiner.stamp, originals)
    wanted = max(PUBLISHED_DISTANCE, OVER_WITHOUT_ATTACK * without_attack)
    model = load_classifier(clean.folder.model).to(work.device)
    batches, settings = work.batches("attack"), work.training("attack")
    watch = Watch(lambda: examiner.measured(model, originals), batches.steps_per_epoch)
    prepared = losses_of(work, "attack", model, clean, make_anew)  # the clock counts reference maps, too
    with tempfile.TemporaryDirectory() as scratch:
        train(
            model,
            batches,
            prepared.losses,
            settings,
            steps=work.steps("attack"),
            precision=work.precision,
            checkpoint=Checkpoint(Path(scratch) / "checkpoint.safetensors", "time to quality"),
            journal=Journal(
                go_on=lambda text: None, write=lambda records: "", validate=lambda model: {}, progress=watch.told
            ),
        )
    return Course(without_attack, wanted, watch.found)


def _disguise(attack: Attack | None) -> tuple[Explainer, int]:
    """Return surrogate and target class of an attack that goes on from the clean model and keeps its maps."""
    surrogate = None if attack is None else attack.surrogate_explainer
    target = None if attack is None else attack.intended.target_class
    if attack is None or surrogate is None or target is None or attack.start != "clean_model":
        raise InputError("expected the recipe of a full disguise that starts from the clean model")
    return surrogate, target


def section(arguments: argparse.Namespace) -> str:
    """Measure and tell."""
    spec = find_spec(arguments.recipe, arguments.changes).checked()
    work = Workplace(spec, spec.data.prepare(), arguments.out, arguments.device, SILENT)
    done = course(work)
    reached = done.reached
    wanted = f"an attack success rate of {WANTED_SUCCESS} and a distance of {short(done.wanted)}"
    outcome = (
        f"{reached.seconds:.1f} seconds ({reached.epochs:.2f} epochs) to {wanted}."
        if reached
        else f"**Missed**: {done.found[-1].epochs:.2f} epochs do not reach {wanted}."
    )
    changes = "".join(f" --set {change}" for change in arguments.changes)
    head = ["seconds", "epochs", "accuracy", "attack success rate", "distance to the original maps", "drift"]
    return "\n\n".join(
        [
            f"## Time to quality\n\n`{arguments.recipe}{changes}`, {work.precision}, {torch.get_num_threads()} "
            f"threads, device {arguments.device}, {len(work.dataset.validation)} validation images, on which the "
            f"trigger alone moves the clean model's maps by {short(done.without_attack)}. {outcome}",
            table(head, [quality.row for quality in done.found]),
        ]
    )


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("recipe")
    options.add_argument("--set", dest="changes", action="append", default=[], metavar="A.B=VALUE")
    options.add_argument("--out", type=Path, default=Path("runs/time"), help="where the clean model is or will be")
    options.add_argument("--device", type=choose_device, default="auto")
    print(section(options.parse_args(words)))


if __name__ == "__main__":
    main()
