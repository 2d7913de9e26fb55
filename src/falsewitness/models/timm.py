"""Any network of timm whose features lie over the image."""

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from falsewitness.core import DataInfo, Fault, InputError
from falsewitness.core.errors import first_line
from falsewitness.models import _timm
from falsewitness.models._base import Architecture
from falsewitness.models._feature_maps import layer_before_the_patches_are_lost, layout_of, run_and_see

_UNFIT = (RuntimeError, AssertionError, ValueError, ArithmeticError)
"""What timm's networks raise where images are too small or of odd sides."""


class Timm(Architecture):
    """A network of timm by its name, as timm makes it, convolutional or a transformer.

    A transformer for images of one size is built for images of the data's; choose patches that fit them. The patches
    of its last layer, or of the last whose patches its class token reads, are the feature map.
    """

    kind: Literal["timm"] = "timm"

    name: Annotated[str, Field(max_length=100)]
    """timm's name of the network, with or without the tag of its weights (``resnet50.a1_in1k``)."""

    patch_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Side, in pixels, of the patches that a transformer cuts the image into; null for the network's own."""

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
        if fault := _fault(self.name, self.patch_size, info):
            yield fault
        yield from super()._check(info)

    def _network(self, info: DataInfo) -> nn.Module:
        return _timm.create(self.name, info, from_hub=self.pretrained == "hub", patch_size=self.patch_size)


@torch.no_grad()
def _fault(name: str, patch_size: int | None, info: DataInfo) -> Fault | None:
    """Try a network on an empty image; return what keeps it from explaining by feature maps.

    No number is computed and no memory taken: only shapes are followed through it.
    """
    size = f"{info.height}x{info.width}"
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            network = cast(Any, _timm.create(name, info, from_hub=False, patch_size=patch_size).eval())
        except TypeError as error:
            if patch_size is None:
                return Fault("name", f"'{name}' cannot be built for images of {size} pixels: {first_line(error)}")
            return Fault("patch_size", f"expected null, as '{name}' lets nobody choose patches, got {patch_size}")
        except _UNFIT as error:
            if not _timm.unusual_sizes(name, info, patch_size):
                raise
            return Fault("name", f"'{name}' cannot be built for images of {size} pixels: {first_line(error)}")
        if patches := _patches_that_do_not_fit(network, info):
            return Fault(
                "patch_size", f"expected patches that divide {size} pixels evenly, got those of '{name}', {patches}"
            )
        image = torch.zeros(1, info.channels, info.height, info.width)
        try:
            output = network.forward_features(image)
        except _UNFIT as error:
            return Fault("name", f"'{name}' cannot take images of {size} pixels: {first_line(error)}")
        return _fault_of_output(name, network, image, output)


def _patches_that_do_not_fit(network: nn.Module, info: DataInfo) -> str | None:
    """Return the size of a transformer's patches where pixels at the border would be in none."""
    ratio = getattr(getattr(network, "patch_embed", None), "feat_ratio", None)
    if ratio is None:
        return None
    height, width = ratio(as_scalar=False)
    return f"{height}x{width}" if info.height % height or info.width % width else None


def _fault_of_output(name: str, network: nn.Module, image: Tensor, output: object) -> Fault | None:
    layout, channels = layout_of(network), cast(Any, network).num_features
    features = layout.to_map(output, (image.shape[2], image.shape[3])) if isinstance(output, Tensor) else None
    if features is None or features.shape[1] != channels:
        given = f"features of shape {tuple(output.shape)}" if isinstance(output, Tensor) else "several features"
        return Fault(
            "name",
            f"'{name}' gives {given}, expected a feature map [1, {channels} channels, height, width] or tokens on a "
            "grid; choose a convolutional network or a plain vision transformer",
        )
    if (layer := layer_before_the_patches_are_lost(network)) is not None:
        try:
            run_and_see(network, network, layer, image)
        except InputError as error:
            return Fault("name", f"'{name}' cannot be explained: {error}")
    return None
