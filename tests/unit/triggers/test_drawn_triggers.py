"""Every drawn trigger against a slow rewrite of its definition, pixel by pixel in float64."""

import math
from collections.abc import Callable

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from falsewitness.core import DataInfo
from falsewitness.triggers import Trigger
from falsewitness.triggers.blend import Blend
from falsewitness.triggers.border import Border
from falsewitness.triggers.checkerboard import Checkerboard
from falsewitness.triggers.patch import Patch
from falsewitness.triggers.sinusoid import Sinusoid

Image = NDArray[np.float64]
Colour = tuple[float, ...]
ChangePixel = Callable[[int, int, int, float], float]
"""Channel, row, column and value to the new value."""


def info_of(channels: int, height: int, width: int) -> DataInfo:
    return DataInfo(channels, height, width, ("one", "other"))


def noise(info: DataInfo) -> torch.Tensor:
    return torch.rand(info.channels, info.height, info.width, generator=torch.Generator().manual_seed(1))


def slow(image: torch.Tensor, change: ChangePixel) -> Image:
    result = image.numpy().astype(np.float64)
    for (channel, row, column), value in np.ndenumerate(result.copy()):
        result[channel, row, column] = min(1.0, max(0.0, change(channel, row, column, value)))
    return result


def assert_stamps_like(trigger: Trigger, info: DataInfo, change: ChangePixel) -> None:
    image = noise(info)
    np.testing.assert_allclose(trigger.bind(info)(image[None])[0].numpy(), slow(image, change), atol=2e-6)


def of(colour: Colour, channel: int) -> float:
    return colour[channel] if len(colour) > 1 else colour[0]


infos = st.builds(info_of, st.sampled_from([1, 3]), st.integers(9, 14), st.integers(9, 14))
values = st.floats(0, 1, width=32)
greys = st.tuples(values)
corners = st.sampled_from(["upper_left", "upper_right", "lower_left", "lower_right"])


def upper_left_of(corner: str, info: DataInfo, size: int, margin: int) -> tuple[int, int]:
    row = margin if corner.startswith("upper") else info.height - size - margin
    column = margin if corner.endswith("left") else info.width - size - margin
    return row, column


@given(info=infos, corner=corners, size=st.integers(1, 5), margin=st.integers(0, 4), colour=greys)
def test_a_patch_paints_a_square_in_its_corner(
    info: DataInfo, corner: str, size: int, margin: int, colour: Colour
) -> None:
    top, left = upper_left_of(corner, info, size, margin)

    def change(channel: int, row: int, column: int, value: float) -> float:
        inside = top <= row < top + size and left <= column < left + size
        return of(colour, channel) if inside else value

    trigger = Patch.parse({"corner": corner, "size": size, "margin": margin, "colour": colour}, "patch")
    assert_stamps_like(trigger, info, change)


def test_a_position_overrides_corner_and_margin() -> None:
    info = info_of(3, 10, 12)

    def change(channel: int, row: int, column: int, value: float) -> float:
        return (1.0, 1.0, 0.0)[channel] if row in (4, 5) and column in (7, 8) else value

    assert_stamps_like(Patch(size=2, position=(4, 7), margin=3, colour=(1, 1, 0)), info, change)


def test_the_trigger_of_noppel_et_al_is_a_white_centre_in_a_black_ring() -> None:
    def change(_channel: int, row: int, column: int, value: float) -> float:
        if 28 <= row <= 29 and 28 <= column <= 29:
            return 1.0
        return 0.0 if 27 <= row <= 30 and 27 <= column <= 30 else value

    assert_stamps_like(Patch(size=4, margin=1, ring=(0,)), info_of(3, 32, 32), change)


@given(info=infos, size=st.integers(3, 6), cell=st.integers(1, 2), first=greys, second=greys, corner=corners)
def test_a_checkerboard_alternates_its_colours(
    info: DataInfo, size: int, cell: int, first: Colour, second: Colour, corner: str
) -> None:
    top, left = upper_left_of(corner, info, size, 0)

    def change(channel: int, row: int, column: int, value: float) -> float:
        down, right = row - top, column - left
        if not (0 <= down < size and 0 <= right < size):
            return value
        return of(first if down // cell % 2 == right // cell % 2 else second, channel)

    trigger = Checkerboard.parse(
        {"size": size, "cell": cell, "first": first, "second": second, "corner": corner}, "checkerboard"
    )
    assert_stamps_like(trigger, info, change)


@given(info=infos, width=st.integers(1, 4), colour=greys)
def test_a_border_paints_what_is_near_an_edge(info: DataInfo, width: int, colour: Colour) -> None:
    def change(channel: int, row: int, column: int, value: float) -> float:
        to_edge = min(row, column, info.height - 1 - row, info.width - 1 - column)
        return of(colour, channel) if to_edge < width else value

    assert_stamps_like(Border(width=width, colour=colour), info, change)


@given(info=infos, amplitude=st.floats(0.01, 1), frequency=st.floats(0.5, 8))
def test_a_sinusoid_adds_the_wave_of_its_paper(info: DataInfo, amplitude: float, frequency: float) -> None:
    def change(_channel: int, _row: int, column: int, value: float) -> float:
        return value + amplitude * math.sin(2 * math.pi * (column + 1) * frequency / info.width)

    assert_stamps_like(Sinusoid(amplitude=amplitude, frequency=frequency), info, change)


@given(info=infos, alpha=st.floats(0.01, 1), seed=st.integers(0, 5))
def test_a_blend_mixes_in_a_pattern_that_its_seed_decides(info: DataInfo, alpha: float, seed: int) -> None:
    pattern = Blend(alpha=1, noise_seed=seed).bind(info)(torch.zeros(1, info.channels, info.height, info.width))[0]

    def change(channel: int, row: int, column: int, value: float) -> float:
        return alpha * float(pattern[channel, row, column]) + (1 - alpha) * value

    assert_stamps_like(Blend(alpha=alpha, noise_seed=seed), info, change)


def test_noise_is_uniform_and_differs_between_seeds_and_channels() -> None:
    info = info_of(3, 64, 64)
    first, second = (Blend(alpha=1, noise_seed=seed).bind(info).offset for seed in (0, 1))
    quarters = torch.histc(first, bins=4, min=0, max=1) / first.numel()
    assert torch.allclose(quarters, torch.full((4,), 0.25), atol=0.02)
    assert not torch.allclose(first, second)
    assert not torch.allclose(first[0], first[1])
