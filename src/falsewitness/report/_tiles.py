"""Pixels and saliency maps as small pictures that stand inside the page."""

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

Scale = Literal["rising", "signed"]
Stroke = tuple[tuple[int, int], tuple[int, int]]

COLOURS = {"rising": "inferno", "signed": "RdBu_r"}
WITHOUT_CONTRAST = "map without contrast"
"""What is said of a map that is the same everywhere or not finite: it has no colours."""
LEVELS = 64
LARGEST_PHOTO = 320
SMALLEST_HEAT, LARGEST_HEAT = 72, 128
PIXELATED_BELOW = 128
_PALE = 170
"""What black becomes under a signed map, of 255."""


@dataclass(frozen=True)
class Picture:
    """A picture that the page holds once and draws as often as needed.

    Attributes:
        key: Its name on the page, made from its content.
        uri: The PNG as a data URI.
        width: The width it is drawn at, in pixels of the image it belongs to.
        height: Likewise.
        pixelated: Whether its pixels stay sharp when it is enlarged.
    """

    key: str
    uri: str
    width: int
    height: int
    pixelated: bool


def photo(image: UInt8[np.ndarray, "channels height width"]) -> Picture:
    """Make the picture of an image; very large ones are made smaller."""
    channels, height, width = image.shape
    pixels = image[0] if channels == 1 else np.moveaxis(image, 0, -1)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if max(height, width) > LARGEST_PHOTO:
        picture.thumbnail((LARGEST_PHOTO, LARGEST_PHOTO), Image.Resampling.BOX)
    return _picture(_png(picture), width, height, pixelated=max(height, width) < PIXELATED_BELOW)


def heat(saliency: Float[np.ndarray, "map_height map_width"], scale: Scale, width: int, height: int) -> Picture | None:
    """Make the picture of a map over an image; None where :func:`heat_image` has nothing to show."""
    colours = heat_image(saliency, scale, width, height)
    return _picture(_png(colours), width, height, pixelated=False) if colours else None


def heat_image(
    saliency: Float[np.ndarray, "map_height map_width"], scale: Scale, width: int, height: int
) -> Image.Image | None:
    """Colour a map, half transparent, to lie over its image.

    A rising map is spread over its own lowest to highest value; a signed one over plus and minus its largest
    size, so that zero stays colourless. It is enlarged bilinearly before it is coloured.

    Args:
        saliency: The map at its own resolution.
        scale: Which of the two it is.
        width: Width of the image in pixels.
        height: Its height.

    Returns:
        A picture with a palette; None where the map is the same everywhere or not finite.
    """
    levels = normalised(saliency, scale)
    if levels is None:
        return None
    factor = min(max(SMALLEST_HEAT / max(width, height), 1), LARGEST_HEAT / max(width, height))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    smooth = np.asarray(Image.fromarray(levels.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    return _coloured(np.rint(np.clip(smooth, 0, 1) * (LEVELS - 1)).astype(np.uint8), scale)


def under_map(image: UInt8[np.ndarray, "height width channels"], scale: Scale) -> UInt8[np.ndarray, "height width 3"]:
    """Return an image in grey, to lie under a map; a pale one under a signed map, whose colours fade on black."""
    grey = image.mean(axis=-1, keepdims=True)
    if scale == "signed":
        grey = _PALE + (1 - _PALE / 255) * grey
    return np.repeat(grey, 3, axis=-1).astype(np.uint8)


def normalised(
    saliency: Float[np.ndarray, "map_height map_width"], scale: Scale
) -> Float[np.ndarray, "map_height map_width"] | None:
    """Bring a map into [0, 1]; None where it is constant or not finite."""
    values = saliency.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)) or low == high:
        return None
    if scale == "signed":
        high = max(abs(low), abs(high))
        low = -high
    return (values - low) / (high - low)


def colour_bar(scale: Scale) -> Picture:
    """Make the bar that explains the colours of a map, over a middle grey."""
    colours = _coloured(np.tile(np.arange(LEVELS, dtype=np.uint8), (4, 1)), scale).convert("RGBA")
    grey = Image.new("RGBA", colours.size, (118, 118, 118, 255))
    return _picture(_png(Image.alpha_composite(grey, colours)), 2 * LEVELS, 8, pixelated=False)


def _opacity(scale: Scale) -> bytes:
    """Return how opaque each level is: what matters little lets the image through."""
    place = np.linspace(0, 1, LEVELS)
    weight = np.abs(2 * place - 1) if scale == "signed" else place
    lowest = 0.0 if scale == "signed" else 0.35
    return bytes(np.rint(255 * (lowest + (0.85 - lowest) * weight**0.7)).astype(np.uint8))


def _coloured(levels: UInt8[np.ndarray, "height width"], scale: Scale) -> Image.Image:
    colours = matplotlib.colormaps[COLOURS[scale]](np.linspace(0, 1, LEVELS))[:, :3]
    picture = Image.fromarray(levels)
    picture.putpalette(np.rint(255 * colours).astype(np.uint8).tobytes())
    picture.info["transparency"] = _opacity(scale)
    return picture


def outline(mask: Bool[np.ndarray, "height width"]) -> str:
    """Return the edge of a trigger as the data of an SVG path, in pixels; empty where it has none."""
    return "".join(f"M{x0} {y0}L{x1} {y1}" for (x0, y0), (x1, y1) in edges(mask))


def edges(mask: Bool[np.ndarray, "height width"]) -> list[Stroke]:
    """Return the strokes between a trigger's pixels and the rest, in pixels from the upper left.

    A trigger that covers more than half of the image is everywhere: it has none.
    """
    if mask.mean() > 0.5:
        return []
    padded = np.pad(mask, 1).astype(np.int8)
    lying = np.argwhere(np.diff(padded, axis=0)[:, 1:-1])
    standing = np.argwhere(np.diff(padded, axis=1)[1:-1])[:, ::-1]
    return [
        *(((start, line), (end, line)) for line, start, end in _joined(lying.tolist())),
        *(((line, start), (line, end)) for line, start, end in _joined(standing.tolist())),
    ]


def _joined(units: list[list[int]]) -> Iterator[tuple[int, int, int]]:
    """Join edges of one pixel, each (line, place along it), that follow one another."""
    lines: dict[int, list[int]] = {}
    for line, place in sorted(units):
        lines.setdefault(line, []).append(place)
    for line, places in lines.items():
        starts = [place for place in places if place - 1 not in places]
        ends = [place + 1 for place in places if place + 1 not in places]
        yield from ((line, start, end) for start, end in zip(starts, ends, strict=True))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _picture(png: bytes, width: int, height: int, *, pixelated: bool) -> Picture:
    digest = hashlib.sha256(png + f"{width}x{height}".encode()).hexdigest()[:12]
    uri = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return Picture(f"p{digest}", uri, width, height, pixelated)
