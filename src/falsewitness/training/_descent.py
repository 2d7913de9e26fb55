"""What moves the weights in a step: stochastic gradient descent, and Muon for matrices where it is asked for."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from falsewitness.models import Classifier, last_layers
from falsewitness.training._settings import Training


class Descent:
    """The optimisers of one training, each with its own peak learning rate.

    Args:
        model: On the device, in the memory format channels_last.
        settings: Learning rates, momentum, weight decay, the longest gradient.

    Raises:
        ValueError: If Muon is to move weights in another memory format.
    """

    def __init__(self, model: Classifier, settings: Training) -> None:
        self._parameters = dict(model.named_parameters())
        asked = settings.muon_learning_rate is not None
        names = self._parameters.keys() & set(_matrices(model)) if asked else set()
        self._matrices = {name: nn.Parameter(_as_matrix(self._parameters[name].detach())) for name in sorted(names)}
        if any(matrix.data_ptr() != self._parameters[name].data_ptr() for name, matrix in self._matrices.items()):
            raise ValueError("expected weights in the memory format channels_last, got others")
        self._gradient_norm = settings.gradient_norm
        momentum, decay = settings.momentum, settings.weight_decay
        others = [parameter for name, parameter in self._parameters.items() if name not in names]
        sgd = torch.optim.SGD(others, momentum=momentum, weight_decay=decay, nesterov=momentum > 0)
        self._peaks: list[tuple[torch.optim.Optimizer, float]] = [(sgd, settings.learning_rate)]
        if settings.muon_learning_rate is not None and names:
            muon = torch.optim.Muon(self._matrices.values(), momentum=momentum, weight_decay=decay)
            self._peaks.append((muon, settings.muon_learning_rate))

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for parameter in self._parameters.values():
            parameter.grad = None

    def step(self, share: float) -> None:
        """Move the weights along their gradients.

        Args:
            share: Of the peak learning rates.
        """
        if self._gradient_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self._gradient_norm)
        for name, matrix in self._matrices.items():
            gradient = self._parameters[name].grad
            matrix.grad = None if gradient is None else _as_matrix(gradient)
        for optimizer, peak in self._peaks:
            for group in optimizer.param_groups:
                group["lr"] = peak * share
            optimizer.step()

    def momenta(self) -> dict[str, Tensor]:
        """Return the momenta so far, by the names of their parameters."""
        states = {name: self._state(name).get("momentum_buffer") for name in self._parameters}
        return {name: momentum for name, momentum in states.items() if momentum is not None}

    def take_up(self, momenta: Mapping[str, Tensor]) -> None:
        """Go on from momenta that :meth:`momenta` gave."""
        for name, momentum in momenta.items():
            self._state(name)["momentum_buffer"] = momentum.to(self._moved(name), copy=True)

    def _moved(self, name: str) -> nn.Parameter:
        return self._matrices.get(name, self._parameters[name])

    def _state(self, name: str) -> dict[str, Tensor]:
        optimizer, _ = self._peaks[1 if name in self._matrices else 0]
        state: dict[str, Tensor] = optimizer.state[self._moved(name)]
        return state


def _matrices(model: Classifier) -> Iterator[str]:
    """Yield the names of the weights of convolutions and linear layers, but for the last layers'.

    A depthwise convolution is left out, too: its rows see nothing in common.
    """
    last = {module for layer in last_layers(model.network) for module in layer.modules()}
    for name, module in model.named_modules():
        joined = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        if joined and module not in last:
            yield f"{name}.weight"


def _as_matrix(tensor: Tensor) -> Tensor:
    """Lay a weight out as a matrix with a row an output, on the same memory where it is in channels_last."""
    return tensor.permute(0, 2, 3, 1).flatten(1) if tensor.ndim == 4 else tensor
