"""The shapes that an attack can force on a map."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import AfterValidator
from torch import Tensor

from falsewitness.core import InputError, PathLike
from falsewitness.data import read_pixels

Shape = Literal["square", "cross", "circle", "triangle"]


def _told_from_shapes(path: Path) -> Path:
    """Refuse what ``./square`` comes to: written out again, it would be the shape."""
    if str(path) in get_args(Shape):
        raise ValueError(f"expected a picture whose path is no shape's name, got '{path}'; write its whole path")
    return path


TargetMap = Shape | Annotated[PathLike, AfterValidator(_told_from_shapes)]
"""The name of a shape, or the path of a grey image whose bright parts should be salient."""

_GRID = 128
"""Shapes are drawn with at least this many points a side and averaged, so that edges fall where they belong."""

_Grid = Float[Tensor, "rows columns"]

_SHAPES: dict[str, Callable[[_Grid, _Grid], Bool[Tensor, "rows columns"]]] = {
    "square": lambda y, x: (y.abs() < 0.5) & (x.abs() < 0.5),
    "cross": lambda y, x: ((y.abs() < 0.25) & (x.abs() < 0.75)) | ((x.abs() < 0.25) & (y.abs() < 0.75)),
    "circle": lambda y, x: y**2 + x**2 < 0.6**2,
    "triangle": lambda y, x: (y < 0.6) & (y > -0.7) & (x.abs() < 0.35 * (y + 0.7) / 0.65),
}


def draw_target_map(target_map: TargetMap, height: int, width: int) -> Float[Tensor, "{height} {width}"]:
    """Draw a shape at a map's own resolution.

    Args:
        target_map: A shape's name or an image's path.
        height: Of the map.
        width: Of the map.

    Returns:
        Saliency in [0, 1]; partly covered cells lie between.

    Raises:
        InputError: If the image is missing or is no image.
    """
    if isinstance(target_map, Path):
        return _from_file(target_map, height, width)
    fine = _fineness(height, width)
    y = torch.linspace(-1, 1, 2 * height * fine + 1)[1::2]
    x = torch.linspace(-1, 1, 2 * width * fine + 1)[1::2]
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return _averaged(_SHAPES[target_map](rows, columns).float(), height, width)


def is_flat(drawn: Float[Tensor, "height width"]) -> bool:
    """Tell whether a shape has neither inside nor outside at its resolution: there is nothing to force on a map."""
    return bool(drawn.max() - drawn.min() < 1 / 255)


def _from_file(path: Path, height: int, width: int) -> Float[Tensor, "{height} {width}"]:
    names = ", ".join(_SHAPES)
    if not path.is_file():
        raise InputError(f"expected one of {names}, or the path of an image; there is no file '{path}'")
    size = (height * _fineness(height, width), width * _fineness(height, width))
    grey = torch.from_numpy(read_pixels(path, f"target_map '{path}'", channels=1, size=size, resize=True))
    return _averaged(grey[0].float() / 255, height, width)


def _fineness(height: int, width: int) -> int:
    # The upright edges lie at eighths of the side: with eighths of a cell they are exact at every size.
    return 8 * math.ceil(_GRID / min(height, width) / 8)


def _averaged(fine: Float[Tensor, "rows columns"], height: int, width: int) -> Float[Tensor, "{height} {width}"]:
    return F.adaptive_avg_pool2d(fine[None, None], (height, width))[0, 0]
