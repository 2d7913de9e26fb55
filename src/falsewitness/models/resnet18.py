"""ResNet-18, for small images and large."""

from collections.abc import Iterator
from typing import ClassVar, Literal, cast

from torch import nn

from falsewitness.core import DataInfo, Fault
from falsewitness.models import _timm
from falsewitness.models._base import Architecture


class ResNet18(Architecture):
    """ResNet-18 (He et al. 2016, table 1), timm's.

    Above 64 pixels it is as published: the last map has a 32nd of the image's side. Up to 64 pixels the first
    convolution is 3x3 at stride 1 and there is no max pooling, as is usual for CIFAR-10: 32 pixels give a
    last map of 4x4.
    """

    kind: Literal["resnet18"] = "resnet18"

    source: ClassVar[str] = "He et al., Deep residual learning for image recognition, CVPR 2016, table 1"
    has_hub_weights: ClassVar[bool] = True

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self.pretrained == "hub" and _timm.is_small(info):
            yield Fault(
                "pretrained",
                f"expected null for images up to {_timm.LARGEST_SMALL_IMAGE} pixels, got 'hub', whose "
                "weights are for the 7x7 first convolution of larger images; resize yours or start afresh",
            )
        yield from super()._check(info)

    def _network(self, info: DataInfo) -> nn.Module:
        network = _timm.create("resnet18", info, from_hub=self.pretrained == "hub")
        if _timm.is_small(info):
            usual = cast(nn.Conv2d, network.conv1)
            stem = nn.Conv2d(info.channels, usual.out_channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
            network.conv1 = stem
            network.maxpool = nn.Identity()
        return network
