"""Augmentation of a batch, against one image after another and one pixel after another."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from falsewitness.training import Augmentation
from falsewitness.training._augmentation import Variation, draw_variation


def drawn(augmentation: Augmentation, count: int, seed: int = 0) -> Variation:
    return draw_variation(augmentation, count, torch.Generator().manual_seed(seed))


def pictures(count: int, height: int = 5, width: int = 7, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1))


def slowly_varied(image: Tensor, mirrored: bool, down: int, right: int) -> Tensor:
    """Move a window over the mirrored image, whose surroundings are black."""
    _, height, width = image.shape
    result = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            source_row, source_column = row + down, column + right
            if 0 <= source_row < height and 0 <= source_column < width:
                taken = width - 1 - source_column if mirrored else source_column
                result[:, row, column] = image[:, source_row, taken]
    return result


@given(
    st.lists(st.tuples(st.booleans(), st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_every_image_is_mirrored_and_shifted_in_its_own_way(
    ways: list[tuple[bool, int, int]], height: int, width: int
) -> None:
    images = pictures(len(ways), height, width)
    variation = Variation(
        mirrored=torch.tensor([way[0] for way in ways]), shift=torch.tensor([way[1:] for way in ways]), reach=3
    )
    expected = torch.stack([slowly_varied(image, *way) for image, way in zip(images, ways, strict=True)])
    assert torch.equal(variation(images), expected)


@given(st.booleans(), st.integers(0, 4), st.integers(0, 9))
def test_what_is_drawn_keeps_within_what_was_asked_for(mirror: bool, reach: int, seed: int) -> None:
    variation = drawn(Augmentation(mirror=mirror, crop_padding=reach), 400, seed)
    assert variation.mirrored.any() == mirror
    assert not variation.mirrored.all()
    assert set(variation.shift.flatten().tolist()) == set(range(-reach, reach + 1))
    assert variation.reach == reach


def test_half_of_many_images_are_mirrored_and_shifts_are_even() -> None:
    variation = drawn(Augmentation(mirror=True, crop_padding=1), 30_000)
    assert variation.mirrored.float().mean().item() == pytest.approx(0.5, abs=0.02)
    for direction in (0, 1):
        shares = torch.bincount(variation.shift[:, direction] + 1) / 30_000
        assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    together = torch.stack([variation.mirrored.float(), *variation.shift.float().T])
    assert torch.corrcoef(together).fill_diagonal_(0).abs().max() < 0.03


def test_without_augmentation_images_stay_as_they_are() -> None:
    images = pictures(50)
    assert torch.equal(drawn(Augmentation(), 50)(images), images)


def test_a_wish_for_mirroring_does_not_move_the_shifts() -> None:
    plain, mirroring = (drawn(Augmentation(mirror=mirror, crop_padding=2), 20) for mirror in (False, True))
    assert torch.equal(plain.shift, mirroring.shift)


def test_equal_generators_draw_equally() -> None:
    augmentation = Augmentation(mirror=True, crop_padding=2)
    first, again, other = drawn(augmentation, 20), drawn(augmentation, 20), drawn(augmentation, 20, seed=1)
    assert torch.equal(first.shift, again.shift)
    assert torch.equal(first.mirrored, again.mirrored)
    assert not torch.equal(first.shift, other.shift)


@given(st.lists(st.integers(0, 9), max_size=6))
def test_the_variation_of_some_images_is_theirs(chosen: list[int]) -> None:
    variation, images = drawn(Augmentation(mirror=True, crop_padding=2), 10), pictures(10)
    rows = torch.tensor(chosen, dtype=torch.long)
    assert torch.equal(variation.select(rows)(images[rows]), variation(images)[rows])
    assert torch.equal(variation.select(slice(4, None))(images[4:]), variation(images)[4:])


def test_a_variation_moves_to_a_device() -> None:
    moved = drawn(Augmentation(crop_padding=1), 3).to(torch.device("meta"))
    assert moved.mirrored.device.type == moved.shift.device.type == "meta"
    assert moved.reach == 1
