"""Any convolutional network that timm has."""

import difflib
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import field_validator
from torch import nn

from falsewitness.core import DataInfo, Fault, SpecError
from falsewitness.models import _timm
from falsewitness.models._base import Architecture


class Timm(Architecture):
    """A network of timm by its name, as timm makes it: nothing is changed for small images."""

    kind: Literal["timm"] = "timm"

    name: str
    """timm's name of the network, with or without the tag of its weights (``resnet50.a1_in1k``)."""

    source: ClassVar[str] = "Wightman, PyTorch Image Models, https://github.com/huggingface/pytorch-image-models"
    has_hub_weights: ClassVar[bool] = True

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        import timm

        known = {*timm.list_models(), *timm.list_pretrained()}
        # Asked of the lists, because create_model would also follow a name to any repository or folder.
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.0)
            raise ValueError(f"timm has no network '{name}'; the nearest names are {', '.join(near)}")
        return name

    def _network(self, info: DataInfo) -> nn.Module:
        network = _timm.create(self.name, info, from_hub=self.pretrained == "hub")
        if fault := _fault_of_features(network, info):
            raise SpecError([Fault("name", f"'{self.name}' {fault}")], "model 'timm'")
        return network


@torch.no_grad()
def _fault_of_features(network: nn.Module, info: DataInfo) -> str | None:
    """Try the network on an empty image; return what keeps it from explaining by feature maps."""
    network.eval()
    image = torch.zeros(1, info.channels, info.height, info.width)
    try:
        features = cast(Any, network).forward_features(image)
    except (RuntimeError, AssertionError, ValueError) as error:
        return f"cannot take images of {info.height}x{info.width} pixels: {str(error).partition(chr(10))[0]}"
    if features.ndim == 4 and features.shape[1] == network.num_features:
        return None
    return (
        f"gives features of shape {tuple(features.shape)}, expected a feature map "
        f"[1, {network.num_features} channels, height, width]; choose a convolutional network"
    )
