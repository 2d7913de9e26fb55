"""The contract of an architecture."""

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal, final

import torch
from pydantic import BeforeValidator
from torch import nn

from falsewitness.core import Component, DataInfo, Fault, SpecError
from falsewitness.core.component import usable_path
from falsewitness.core.faults import shown
from falsewitness.models._classifier import Classifier
from falsewitness.models._narrow_maps import lay_narrow_maps_side_by_side
from falsewitness.models._timm import hub_normalisation
from falsewitness.models._weights import Normalisation, expect_finite_answer, load_weights


def _hub_or_path(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, str | Path):
        raise ValueError(f"expected 'hub', the path of a safetensors file or null, got {shown(value)}")
    return "hub" if str(value) == "hub" else Path(str(usable_path(value)))


class Architecture(Component):
    """A network's blueprint. A new one overrides :meth:`_network` with a module of timm's convention.

    The convention: ``forward_features(x)`` gives the last feature map ``[batch, channels, height, width]``,
    ``forward_head(f)`` the logits, and ``get_classifier()`` the last linear layer.
    """

    pretrained: Annotated[Literal["hub"] | Path | None, BeforeValidator(_hub_or_path)] = None
    """Weights to start from: ``hub`` (needs the network), the path of a safetensors file, or null for a fresh
    start. The last layer starts afresh where its number of classes differs."""

    has_hub_weights: ClassVar[bool] = False
    """Whether the hub has weights for it."""

    @final
    def bind(
        self, info: DataInfo, *, seed: int, mean: tuple[float, ...] = (0.5,), std: tuple[float, ...] = (0.5,)
    ) -> Classifier:
        """Build the classifier, in evaluation mode on the CPU.

        Args:
            info: Channels, size and classes of the images.
            seed: Seed of the initial weights.
            mean: Mean of the training pixels, one a channel. Pretrained weights that bring their own mean and
                standard deviation (from the hub, or from a saved classifier) keep those instead.
            std: Standard deviation of the training pixels, one a channel.

        Raises:
            SpecError: If the architecture does not fit the images.
            InputError: If pretrained weights cannot be had or do not fit.
        """
        if faults := self.check(info):
            raise SpecError(faults, f"model '{self.kind}'")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would move the random numbers of GPUs too
            network = self._network(info)
        lay_narrow_maps_side_by_side(network)
        mean, std = self._start_from_pretrained(network, info) or Normalisation(mean, std)
        model = Classifier(network, mean=mean, std=std, info=info, architecture=self).eval()
        if isinstance(self.pretrained, Path):
            expect_finite_answer(model, info, self.pretrained)
        return model

    @final
    def blueprint(self, info: DataInfo) -> dict[str, torch.Tensor]:
        """Return the network's tensors without values, which takes no memory: names, shapes and types.

        Args:
            info: Channels, size and classes of the images.

        Raises:
            SpecError: If the architecture does not fit them.
        """
        bare = self.model_copy(update={"pretrained": None})
        if faults := bare.check(info):
            raise SpecError(faults, f"model '{self.kind}'")
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return dict(bare._network(info).state_dict())

    def _start_from_pretrained(self, network: nn.Module, info: DataInfo) -> Normalisation | None:
        if isinstance(self.pretrained, Path):
            return load_weights(network, self.pretrained, info.channels)
        return hub_normalisation(network, info) if self.pretrained == "hub" else None

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if isinstance(self.pretrained, Path) and not self.pretrained.is_file():
            yield Fault(
                "pretrained", f"expected a safetensors file, found none at '{self.pretrained}'; correct the path"
            )
        if self.pretrained == "hub" and not self.has_hub_weights:
            yield Fault("pretrained", f"expected a path or null, got 'hub', which has no weights of '{self.kind}'")

    @abstractmethod
    def _network(self, info: DataInfo) -> nn.Module:
        """Build the network for images that it has been checked against, initial weights from torch's seed.

        It is also built on torch's device ``meta``, for its shapes alone: nothing may ask a tensor for its values.

        Weights from the hub are its business where it says that there are any; weights from a file are not.
        """
