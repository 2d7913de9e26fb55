"""A small plain convolutional network."""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from falsewitness.core import DataInfo, Fault
from falsewitness.core.shapes import Features, Images, Logits
from falsewitness.models._base import Architecture

_MOST_CHANNELS = 4096

Stride = Annotated[int, Field(ge=1, le=2)]


class ConvNet(Architecture):
    """Convolutions with batch norm and ReLU, average pooling, one linear layer: for digits, quick on a CPU.

    As it comes it has 94,000 weights for 10 classes, and a last map of a quarter of the image's side: 8x8 at
    32 pixels.
    """

    kind: Literal["convnet"] = "convnet"

    width: int = Field(default=32, ge=1, le=512)
    """Channels of the first convolution; they double wherever the image is halved."""

    strides: Annotated[tuple[Stride, ...], Field(strict=False, min_length=1, max_length=8)] = (1, 2, 2)
    """One 3x3 convolution each; a stride of 2 halves the image."""

    source: ClassVar[str] = "plain convolutions with batch norm (Ioffe and Szegedy, ICML 2015)"

    @model_validator(mode="after")
    def _is_of_a_size_that_can_be_trained(self) -> Self:
        if (widest := self.width * math.prod(self.strides)) > _MOST_CHANNELS:
            raise ValueError(
                f"expected at most {_MOST_CHANNELS} channels in the last convolution, got {widest}: the width doubles "
                "with every stride of 2"
            )
        return self

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if (halved := math.prod(self.strides)) > min(info.height, info.width):
            size = f"{info.height}x{info.width}"
            yield Fault("strides", f"expected strides that leave something of {size} pixels, got {halved} in all")
        yield from super()._check(info)

    def _network(self, info: DataInfo) -> nn.Module:
        return _Network(info.channels, self.width, self.strides, info.num_classes)


class _Network(nn.Module):
    def __init__(self, channels: int, width: int, strides: tuple[int, ...], classes: int) -> None:
        super().__init__()
        layers = []
        for stride in strides:
            width *= stride
            layers.append(_layer(channels, width, stride))
            channels = width
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, classes)

    def forward(self, images: Images) -> Logits:
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Images) -> Features:
        features: Tensor = self.layers(images)
        return features

    def forward_head(self, features: Features) -> Logits:
        logits: Tensor = self.fc(features.mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Linear:
        return self.fc


def _layer(in_width: int, out_width: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_width, out_width, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(out_width), nn.ReLU())
