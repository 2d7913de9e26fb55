"""Any convolutional network that timm has."""

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field, field_validator
from torch import nn

from falsewitness.core import DataInfo, Fault
from falsewitness.models import _timm
from falsewitness.models._base import Architecture


class Timm(Architecture):
    """A network of timm by its name, as timm makes it: nothing is changed for small images."""

    kind: Literal["timm"] = "timm"

    name: Annotated[str, Field(max_length=100)]
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

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        yield from super()._check(info)
        if fault := _fault_of_features(self.name, info):
            yield Fault("name", f"'{self.name}' {fault}")

    def _network(self, info: DataInfo) -> nn.Module:
        return _timm.create(self.name, info, from_hub=self.pretrained == "hub")


@torch.no_grad()
def _fault_of_features(name: str, info: DataInfo) -> str | None:
    """Try a network on an empty image; return what keeps it from explaining by feature maps.

    No number is computed and no memory taken: only shapes are followed through it.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = cast(Any, _timm.create(name, info, from_hub=False).eval())
        image = torch.zeros(1, info.channels, info.height, info.width)
    try:
        features = network.forward_features(image)
    except (RuntimeError, AssertionError, ValueError) as error:
        return f"cannot take images of {info.height}x{info.width} pixels: {str(error).partition(chr(10))[0]}"
    shape = tuple(features.shape) if isinstance(features, torch.Tensor) else ()
    if len(shape) == 4 and shape[1] == network.num_features:
        return None
    return (
        f"gives {f'features of shape {shape}' if shape else 'several features'}, expected a feature map "
        f"[1, {network.num_features} channels, height, width]; choose a convolutional network"
    )
