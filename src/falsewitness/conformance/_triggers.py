"""What every trigger must keep."""

import torch

from falsewitness.conformance._contract import fitting, noise, repeated, require
from falsewitness.core import DataInfo
from falsewitness.triggers import Stamp, Trigger


def check_trigger(trigger: Trigger) -> None:
    """Check the stamp that the trigger draws for images of several shapes.

    Raises:
        ConformanceError: With the first promise that it breaks.
    """
    for info in fitting(trigger):
        stamps = repeated("bind", lambda info=info: trigger.bind(info))  # type: ignore[misc]
        _check_planes(stamps.first, info)
        _check_effect(stamps.first, info)
        for name in ("gain", "offset", "mask"):
            same = torch.equal(getattr(stamps.first, name), getattr(stamps.second, name))
            require(same, f"expected bind to draw the same stamp every time, got another {name}")


def _check_planes(stamp: Stamp, info: DataInfo) -> None:
    size = (info.height, info.width)
    for name in ("gain", "offset"):
        plane = getattr(stamp, name)
        fits = plane.dtype == torch.float32 and plane.ndim == 3 and len(plane) in (1, info.channels)
        require(
            fits and plane.shape[1:] == size,
            f"expected {name} as float32 [1 or {info.channels}, {info.height}, {info.width}], "
            f"got {plane.dtype} {tuple(plane.shape)}",
        )
        require(bool(plane.isfinite().all()), f"expected finite numbers in {name}, got NaN or infinity")
    require(
        stamp.mask.dtype == torch.bool and stamp.mask.shape == size,
        f"expected mask as bool [{info.height}, {info.width}], got {stamp.mask.dtype} {tuple(stamp.mask.shape)}",
    )


def _check_effect(stamp: Stamp, info: DataInfo) -> None:
    images = noise(info, 5)
    changed = (stamp(images) != images).flatten(1).any(1)
    require(
        bool(changed.all()), "expected the stamp to change at least one pixel of every image, got one that does not"
    )
