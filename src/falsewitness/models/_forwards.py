"""Other ways to compute some layers, for a while."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def forwards_replaced(replacements: Mapping[nn.Module, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Let each module compute by another function for the time of the block, also where the block ends in an error."""
    before = {module: vars(module).get("forward") for module in replacements}
    for module, forward in replacements.items():
        module.forward = forward
    try:
        yield
    finally:
        for module, own in before.items():
            if own is None:
                del module.__dict__["forward"]
            else:
                module.forward = own
