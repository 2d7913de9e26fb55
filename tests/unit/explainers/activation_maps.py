"""Networks, and what an independent library makes of their layers, for the tests of the class-activation family."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from falsewitness.core import DataInfo
from falsewitness.core.maps import minmax, upsampled
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.resnet20 import ResNet20

SMALL = DataInfo(3, 12, 12, ("one", "two", "three", "four"))
INFO = DataInfo(3, 32, 32, ("one", "two", "three", "four"))
CLASSES = torch.tensor([2, 0, 1, 3])

PLACES = [("convnet", None), ("convnet", "layers.1"), ("resnet20", None), ("resnet20", "layer2")]
"""The last feature map and an inner layer of two networks."""


def images(info: DataInfo = SMALL, batch: int = 4) -> Tensor:
    return torch.rand(batch, 3, info.height, info.width, generator=torch.Generator().manual_seed(0))


def convnet(info: DataInfo = SMALL) -> Classifier:
    return ConvNet(width=4).bind(info, seed=0)


def network(kind: str) -> Classifier:
    return (ConvNet(width=8) if kind == "convnet" else ResNet20()).bind(INFO, seed=0)


def module_of(model: Classifier, layer: str | None) -> torch.nn.Module:
    last = "layers" if hasattr(model.network, "layers") else "layer3"
    return model.network.get_submodule(layer or last)


def activation_and_slopes(model: Classifier, image: Tensor, wanted: int, layer: str | None) -> tuple[Tensor, Tensor]:
    """Return one layer's output for one image and the logit's gradient by it, [channels, height, width] each."""
    logits, activation = model.with_activation(image[None], layer)
    (slopes,) = torch.autograd.grad(logits[0, wanted], activation)
    return activation[0].detach(), slopes[0]


def of_pytorch_grad_cam(method: str, model: Classifier, layer: str | None) -> Tensor:
    """Return the library's maps: cut off at 0, stretched to [0, 1] and to the size of the image."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    explainer: Any = getattr(pytorch_grad_cam, method)
    with explainer(model=model, target_layers=[module_of(model, layer)]) as second_opinion:
        wanted = [ClassifierOutputTarget(int(number)) for number in CLASSES]
        heat: np.ndarray[Any, np.dtype[np.float32]] = second_opinion(input_tensor=images(INFO), targets=wanted)
    return torch.from_numpy(heat)


def as_the_library_shows(maps: Tensor) -> Tensor:
    """Return our maps cut off and stretched likewise."""
    return minmax(upsampled(minmax(maps.relu()), (INFO.height, INFO.width)))


@contextmanager
def passes_counted(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Count the forward passes of batches and the backward passes inside the block."""
    counted = {"forward": 0, "backward": 0}
    differentiate = torch.autograd.grad
    first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))

    def forward(_first: object, inputs: tuple[Tensor]) -> None:
        counted["forward"] += len(inputs[0]) > 1  # one image alone is tried to learn what memory it takes

    def backward(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        counted["backward"] += 1
        return differentiate(*arguments, **options)

    handle = first.register_forward_pre_hook(forward)
    with monkeypatch.context() as patched:
        patched.setattr(torch.autograd, "grad", backward)
        yield counted
    handle.remove()
