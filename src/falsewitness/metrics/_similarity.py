"""How alike two sets of maps are, row by row: at the image's size, and at the maps' own resolution."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from jaxtyping import Bool
from torch import Tensor

from falsewitness.core.maps import dssim, is_constant, mse_standardised, pearson, top_iou, upsampled
from falsewitness.core.shapes import Maps, PerRow

COMPARISONS: Mapping[str, Callable[[Maps, Maps], PerRow]] = {
    "standardised_mse": mse_standardised,
    "dssim": dssim,
    "pearson": pearson,
    "top10_iou": partial(top_iou, share=0.1),
}
"""What a pair of maps is compared by."""

_PIXELS_AT_ONCE = 2_000_000


def both_vary(first: Maps, second: Maps) -> Bool[Tensor, " batch"]:
    """Tell which pairs can be compared: neither map is constant."""
    return ~(is_constant(first) | is_constant(second))


def at_image_size(first: Maps, second: Maps, size: tuple[int, int], *names: str) -> dict[str, PerRow]:
    """Return the named comparisons of maps brought to the image's size (height, width)."""
    parts = [
        _compared(upsampled(some, size), upsampled(others, size), names)
        for some, others in in_parts(size[0] * size[1], first, second)
    ]
    return {name: torch.cat([part[name] for part in parts]) for name in names}


def at_map_resolution(first: Maps, second: Maps, *names: str) -> dict[str, PerRow]:
    """Return the named comparisons of maps as they are; their names get the ending ``_map_resolution``."""
    return {f"{name}_map_resolution": values for name, values in _compared(first, second, names).items()}


def in_parts(pixels_a_row: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the tensors a few rows at a time: at once, a thousand maps at 224 x 224 would take gigabytes."""
    rows = max(1, _PIXELS_AT_ONCE // pixels_a_row)
    yield from zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True)


def prefixed(prefix: str, values: Mapping[str, PerRow]) -> dict[str, PerRow]:
    """Return the quantities with a prefix before their names."""
    return {f"{prefix}{name}": column for name, column in values.items()}


def _compared(first: Maps, second: Maps, names: tuple[str, ...]) -> dict[str, PerRow]:
    return {name: COMPARISONS[name](first, second) for name in names}
