"""How far something is that takes long."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Told how far something is, to draw a bar from."""

    def __call__(self, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` steps or images are finished."""
        ...
