"""How many images may go through a model at once."""

import torch
from torch import Tensor, nn

from falsewitness.core.shapes import Images
from falsewitness.models import Classifier, as_audited

_USUAL_MB = {"cpu": 400.0}
_USUAL_ELSEWHERE_MB = 2000.0
"""What activations may take where nothing is said. Smaller passes are slower on a CPU, larger ones no faster."""

_FOR_GRADIENTS = 2
"""A backward pass holds about as much again as what the forward pass kept."""


def inputs_at_once(bytes_of_one: int, device: torch.device, memory_mb: float | None) -> int:
    """Return how many images may go through a model forward and backward, one at least.

    Args:
        bytes_of_one: What all layers' outputs take for one image.
        device: Where.
        memory_mb: What activations may take; what is usual on the device where None.
    """
    if memory_mb is None:
        memory_mb = _USUAL_MB.get(device.type, _USUAL_ELSEWHERE_MB)
    return max(1, int(memory_mb * 1e6 / (_FOR_GRADIENTS * bytes_of_one)))


def bytes_of_activations(model: Classifier, image: Images) -> int:
    """Return what all layers' outputs for one image take."""
    counted = image.numel() * image.element_size()

    def count(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal counted
        if isinstance(output, Tensor):
            counted += output.numel() * output.element_size()

    leaves = [module for module in model.modules() if not list(module.children())]
    handles = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        with torch.no_grad(), as_audited(model):
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    return counted
