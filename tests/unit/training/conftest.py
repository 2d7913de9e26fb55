from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from falsewitness.attacks import Batch, Losses, LossTerm, plan_without_poison
from falsewitness.core import DataInfo
from falsewitness.core.targets import SingleTargets
from falsewitness.data import PixelStore, Split
from falsewitness.data.digits import Digits
from falsewitness.models import Classifier
from falsewitness.training import Augmentation, Batches, Checkpoint, Journal, Outcome, Training, train

Tiny = Callable[[], Classifier]
Painted = Callable[[int], PixelStore]
State = dict[str, Tensor]

CLASSES = 4
INFO = DataInfo(1, 8, 8, tuple("abcd"))


class Network(nn.Module):
    """Batch norm and dropout on two convolutions, in timm's convention."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(6, CLASSES)

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.relu(self.second(self.relu(self.norm(self.first(images)))))
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.dropout(features.mean((2, 3))))
        return logits

    def get_classifier(self) -> nn.Linear:
        return self.fc


@pytest.fixture
def tiny() -> Tiny:
    """Makes equal models, in evaluation mode."""

    def make() -> Classifier:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Classifier(Network(), mean=(0.5,), std=(0.3,), info=INFO).eval()

    return make


@pytest.fixture
def painted() -> Painted:
    """Makes a store of so many images of noise, every image and every pixel of its own."""

    def make(count: int) -> PixelStore:
        generator = np.random.default_rng(0)
        images = generator.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
        labels = torch.from_numpy(generator.integers(0, CLASSES, count))
        return PixelStore(Split(images, SingleTargets(labels), np.arange(count)))

    return make


@pytest.fixture(scope="session")
def digits() -> PixelStore:
    return PixelStore(Digits(train_limit=200).prepare().train)


SETTINGS = Training(epochs=3, batch_size=8, learning_rate=0.05, augmentation=Augmentation(mirror=True))
STEPS = 9


class KilledError(BaseException):
    """Stands for whatever ends a process."""


@dataclass
class Notebook:
    """Takes everything a training reports; may interrupt it before or after a step is told."""

    interrupt_at: int | None = None
    records: list[Mapping[str, Any]] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    modes: list[bool] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    def write(self, records: Iterable[Mapping[str, Any]]) -> str:
        self.records.extend(records)
        self.epochs.append(self.records[-1]["epoch"])
        return f"until epoch {self.epochs[-1]}"

    def validate(self, model: Classifier) -> dict[str, float | None]:
        self.modes.append(model.training)
        return {"accuracy": 0.5}

    def told(self, done: int, total: int) -> None:
        self.progress.append((done, total))
        if done == self.interrupt_at:
            raise KilledError

    @property
    def journal(self) -> Journal:
        return Journal(self.held.append, self.write, self.validate, self.told)

    @property
    def steps(self) -> list[Mapping[str, Any]]:
        return [record for record in self.records if "step" in record]


def cross_entropy(model: Classifier) -> Callable[[Batch], Losses]:
    def losses(batch: Batch) -> Losses:
        return Losses((LossTerm("cross_entropy", 1.0, batch.targets.loss(model(batch.images))),), len(batch.images))

    return losses


def batches_of(store: PixelStore, settings: Training = SETTINGS, seed: int = 0) -> Batches:
    plan = plan_without_poison(len(store))
    return Batches(store, plan, None, "stored", None, settings.augmentation, settings.batch_size, seed)


def trained(
    model: Classifier,
    store: PixelStore,
    path: Path,
    *,
    notebook: Notebook | None = None,
    settings: Training = SETTINGS,
    steps: int = STEPS,
    losses: Callable[[Batch], Losses] | None = None,
    identity: str = "mine",
) -> Outcome:
    return train(
        model,
        batches_of(store, settings),
        losses or cross_entropy(model),
        settings,
        steps=steps,
        precision="fp32",
        checkpoint=Checkpoint(path / "checkpoint.safetensors", identity),
        journal=(notebook or Notebook()).journal,
    )


def state_of(model: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
