from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from falsewitness.core import DataInfo
from falsewitness.core.targets import SingleTargets
from falsewitness.data import PixelStore, Split
from falsewitness.data.digits import Digits
from falsewitness.models import Classifier

CLASSES = 4
INFO = DataInfo(1, 8, 8, tuple("abcd"))


class Tiny(nn.Module):
    """Batch norm and dropout on two convolutions, in timm's convention."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(6, CLASSES)

    def forward_features(self, images: Tensor) -> Tensor:
        features: Tensor = self.second(self.norm(self.first(images)).relu()).relu()
        return features

    def forward_head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.dropout(features.mean((2, 3))))
        return logits

    def get_classifier(self) -> nn.Linear:
        return self.fc


@pytest.fixture
def tiny() -> Callable[[], Classifier]:
    """Makes equal models, in evaluation mode."""

    def make() -> Classifier:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Classifier(Tiny(), mean=(0.5,), std=(0.3,), info=INFO).eval()

    return make


@pytest.fixture
def painted() -> Callable[[int], PixelStore]:
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
