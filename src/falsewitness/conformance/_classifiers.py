"""Small classifiers that components are tried on, and whether they were left as they were."""

from typing import ClassVar, Literal

import torch
from torch import nn

from falsewitness.conformance._contract import COLOUR, GREY, noise, require
from falsewitness.core import DataInfo
from falsewitness.explainers import BoundExplainer, Explainer
from falsewitness.models import Architecture, Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.resnet20 import ResNet20


class SmallTransformer(Architecture):
    """A vision transformer with a class token: two blocks, a map of 4x4 at 32 pixels, as quick as a small ConvNet."""

    kind: Literal["small_transformer"] = "small_transformer"

    source: ClassVar[str] = "Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021, section 3.1"

    def _network(self, info: DataInfo) -> nn.Module:
        from timm.models import VisionTransformer

        return VisionTransformer(
            img_size=(info.height, info.width),
            patch_size=8,
            in_chans=info.channels,
            num_classes=info.num_classes,
            embed_dim=32,
            depth=2,
            num_heads=2,
            mlp_ratio=2,
        )


ARCHITECTURES: tuple[Architecture, ...] = (ConvNet(width=4, strides=(1, 2)), ResNet20(), SmallTransformer())
TRIALS = (
    (ARCHITECTURES[0], COLOUR),
    (ARCHITECTURES[0], GREY),
    (ARCHITECTURES[1], COLOUR),
    (ARCHITECTURES[2], COLOUR),
)
"""Networks, and the images they are made for, that explainers are tried on."""


def small_classifier(architecture: Architecture, info: DataInfo) -> Classifier:
    """Return an untrained classifier, in evaluation mode, whose running statistics are those of noise."""
    model = architecture.bind(info, seed=0, mean=(0.5,), std=(0.25,))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the running statistics become the average of what passes
    with torch.no_grad():
        model.train()(noise(info, 16, seed=1))
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def attached(explainer: Explainer, model: Classifier) -> BoundExplainer:
    """Bind an explainer to a small classifier, with noise to compare with where it compares with something."""
    assert model.info is not None  # noqa: S101 - the small classifiers know what they are for
    background = noise(model.info, explainer.background_size, seed=2) if explainer.background_size else None
    return explainer.bind(model, background=background)


def dead(model: Classifier) -> Classifier:
    """Let the classifier say the same of every image, so that no pixel matters to it."""
    with torch.no_grad():
        model.network.get_classifier().weight.zero_()  # type: ignore[operator]
    return model


def in_frozen_training(model: Classifier) -> Classifier:
    """Put the classifier in training mode with batch norm in evaluation mode."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return model


class Snapshot:
    """What a classifier was like at one time."""

    def __init__(self, model: Classifier) -> None:
        """Take note of the classifier's weights, modes, hooks and attributes."""
        self._model = model
        self._tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self._traits = _traits(model)

    def require_unchanged(self, by: str) -> None:
        """Raise ConformanceError if the classifier is another now.

        Args:
            by: What was done to it since.
        """
        now = _traits(self._model)
        for trait in (trait for trait in {**self._traits, **now} if self._traits.get(trait) != now.get(trait)):
            require(
                False,
                f"expected {by} to leave the model as it was, but it changed {trait} "
                f"from {self._traits.get(trait)} to {now.get(trait)}",
            )
        for name, tensor in self._model.state_dict().items():
            same = torch.equal(self._tensors[name], tensor)
            require(same, f"expected {by} to leave the model as it was, but it changed the values of {name}")


def _traits(model: Classifier) -> dict[str, object]:
    """Return what can be left behind on a model, by a name that people understand."""
    traits: dict[str, object] = {}
    for name, module in model.named_modules():
        where = f"of layer '{name}'" if name else "of the model"
        traits[f"the mode {where}"] = "training" if module.training else "evaluation"
        traits[f"the attributes {where}"] = sorted(vars(module))
        hooks = [value for key, value in vars(module).items() if key.endswith("_hooks") and isinstance(value, dict)]
        traits[f"the number of hooks {where}"] = sum(map(len, hooks))
    for name, weight in model.named_parameters():
        traits[f"requires_grad of {name}"] = weight.requires_grad
        traits[f"the gradient of {name}"] = "none" if weight.grad is None else "some"
        traits[f"the type of {name}"] = weight.dtype
    return traits
