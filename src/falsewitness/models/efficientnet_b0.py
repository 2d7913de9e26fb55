"""EfficientNet-B0, for small images and large."""

from typing import ClassVar, Literal, cast

from torch import nn

from falsewitness.core import DataInfo
from falsewitness.models import _timm
from falsewitness.models._base import Architecture


class EfficientNetB0(Architecture):
    """EfficientNet-B0 (Tan and Le 2019, table 1), timm's.

    Above 64 pixels it is as published: the last map has a 32nd of the image's side. Up to 64 pixels the stem
    and the first stage that would halve the image keep its size: 32 pixels give a last map of 4x4. No weight
    changes its shape by that, so that weights from the hub fit small images too.
    """

    kind: Literal["efficientnet_b0"] = "efficientnet_b0"

    source: ClassVar[str] = "Tan and Le, EfficientNet, ICML 2019, table 1"
    has_hub_weights: ClassVar[bool] = True

    def _network(self, info: DataInfo) -> nn.Module:
        network = _timm.create("efficientnet_b0", info, from_hub=self.pretrained == "hub")
        if _timm.is_small(info):
            for name in ("conv_stem", "blocks.1.0.conv_dw"):
                cast(nn.Conv2d, network.get_submodule(name)).stride = (1, 1)
        return network
