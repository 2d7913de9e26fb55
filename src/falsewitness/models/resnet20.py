"""ResNet-20, the small residual network made for CIFAR-10."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falsewitness.core import DataInfo
from falsewitness.core.shapes import Features, Images, Logits
from falsewitness.models._base import Architecture

STAGES = ((16, 1), (32, 2), (64, 2))
"""Channels of each stage, and the stride of its first block."""

BLOCKS = 3
"""Blocks a stage: 6 * 3 + 2 = 20 layers."""


class ResNet20(Architecture):
    """ResNet-20 (He et al. 2016, section 4.2): 0.27 million weights, a last map of 8x8 at 32 pixels.

    Shortcuts between stages are the paper's option A, which it uses on CIFAR-10: every second pixel, and
    zeros for the new channels; they have no weights.
    """

    kind: Literal["resnet20"] = "resnet20"

    source: ClassVar[str] = "He et al., Deep residual learning for image recognition, CVPR 2016, section 4.2"

    def _network(self, info: DataInfo) -> nn.Module:
        return _Network(info.channels, info.num_classes)


class _Network(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        width = STAGES[0][0]
        self.conv1 = _convolution(channels, width, stride=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        stages = []
        for out_width, stride in STAGES:
            blocks = [_Block(width, out_width, stride)]
            blocks += [_Block(out_width, out_width, stride=1) for _ in range(BLOCKS - 1)]
            stages.append(nn.Sequential(*blocks))
            width = out_width
        self.layer1, self.layer2, self.layer3 = stages
        self.fc = nn.Linear(width, classes)

    def forward(self, images: Images) -> Logits:
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Images) -> Features:
        stem: Tensor = self.relu(self.bn1(self.conv1(images)))
        features: Tensor = self.layer3(self.layer2(self.layer1(stem)))
        return features

    def forward_head(self, features: Features) -> Logits:
        logits: Tensor = self.fc(_every(1, features).mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Linear:
        return self.fc


class _Block(nn.Module):
    """Two convolutions beside a shortcut.

    Each activation has its own module, because captum's DeepLift refuses one that is used twice.
    """

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(in_width, out_width, stride)
        self.bn1 = nn.BatchNorm2d(out_width)
        self.relu1 = nn.ReLU()
        self.conv2 = _convolution(out_width, out_width, stride=1)
        self.bn2 = nn.BatchNorm2d(out_width)
        self.shortcut = nn.Identity() if stride == 1 else _Shortcut(out_width - in_width, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu2(self.shortcut(x) + inner)
        return out


class _Shortcut(nn.Module):
    """Option A of He et al. 2016, section 3.3: fewer pixels, and zeros before and after for new channels."""

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = new_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        before = self.new_channels // 2
        return F.pad(_every(self.stride, x), (0, 0, 0, 0, before, self.new_channels - before))


def _every(stride: int, x: Tensor) -> Tensor:
    """Return the pixels of every so many rows and columns.

    Where there will be a gradient they are not sliced but pooled one by one, because a slice's gradient, like a mean's,
    loses the memory format of ``x``. Where two formats meet, a step on a CPU is slower by a tenth, one through the
    smooth twin by a quarter.
    """
    return F.avg_pool2d(x, 1, stride) if torch.is_grad_enabled() else x[:, :, ::stride, ::stride]


def _convolution(in_width: int, out_width: int, stride: int) -> nn.Conv2d:
    convolution = nn.Conv2d(in_width, out_width, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return convolution
