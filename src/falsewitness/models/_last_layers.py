"""The layers that give the logits, by timm's convention."""

from torch import nn


def last_layers(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return what ``get_classifier()`` names, which may be several layers; none where a network has no such method."""
    found = getattr(network, "get_classifier", lambda: None)()
    if found is None:
        return ()
    several = isinstance(found, tuple | list | nn.ModuleList)
    return tuple(found) if several else (found,)
