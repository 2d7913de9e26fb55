from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from falsewitness.core.targets import SingleTargets
from falsewitness.data import ImageRows, PixelStore, Split
from falsewitness.data._split import Rows, hold_out, thin_out

class_counts = st.lists(st.integers(2, 30), min_size=1, max_size=5)
seeds = st.integers(0, 2**63 - 1)


def shuffled_classes(counts: list[int], seed: int = 0) -> Rows:
    classes = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(classes)


def split_of(rows: list[int]) -> Split:
    images = np.zeros((len(rows), 1, 2, 2), dtype=np.uint8)
    return Split(images, SingleTargets(torch.zeros(len(rows), dtype=torch.long)), np.array(rows, dtype=np.int64))


def test_the_digest_of_a_split_tells_which_images_it_holds_and_in_which_order() -> None:
    assert split_of([3, 5]).digest == split_of([3, 5]).digest
    assert len({split_of(rows).digest for rows in ([3, 5], [5, 3], [3], [3, 6], [])}) == 5


@given(counts=class_counts, share=st.floats(0.01, 0.99), seed=seeds)
def test_hold_out_takes_the_rounded_share_of_every_class_and_leaves_one_on_either_side(
    counts: list[int], share: float, seed: int
) -> None:
    classes = shuffled_classes(counts)
    rows = np.arange(100, 100 + len(classes))
    kept, held = hold_out(rows, classes, share, seed)

    assert sorted([*kept, *held]) == rows.tolist()
    assert kept.tolist() == sorted(kept)
    assert held.tolist() == sorted(held)
    for index, count in enumerate(counts):
        wanted = min(max(round(share * count), 1), count - 1)
        assert np.count_nonzero(classes[held - 100] == index) == wanted


def test_hold_out_repeats_itself_for_equal_seeds_only() -> None:
    classes = shuffled_classes([40, 40])
    rows = np.arange(80)
    first, again, other = (hold_out(rows, classes, 0.25, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_hold_out_gives_the_rows_it_has_always_given() -> None:
    rows = np.arange(12)
    _, held = hold_out(rows, rows % 3, 0.5, seed=0)
    assert held.tolist() == [1, 2, 3, 6, 7, 11]


def test_every_row_is_held_out_about_equally_often() -> None:
    rows = np.arange(40)
    times = np.zeros(40)
    for seed in range(400):
        times[hold_out(rows, rows % 2, 0.25, seed)[1]] += 1
    # A binomial count of 400 draws at .25 has mean 100 and deviation 8.7.
    assert times.min() > 100 - 5 * 8.7
    assert times.max() < 100 + 5 * 8.7


@given(counts=class_counts, extra=st.integers(0, 200), seed=seeds)
def test_thinning_keeps_the_limit_the_shares_and_every_class(counts: list[int], extra: int, seed: int) -> None:
    classes = shuffled_classes(counts)
    rows = np.arange(len(classes))
    limit = len(counts) + extra
    taken = thin_out(rows, classes, limit, seed)

    assert len(set(taken.tolist())) == len(taken) == min(limit, len(rows))
    assert taken.tolist() == sorted(taken)
    for index, count in enumerate(counts):
        found = np.count_nonzero(classes[taken] == index)
        fair = Fraction(len(taken) * count, len(rows))
        assert found >= 1
        assert fair - Fraction(len(counts) * count, len(rows)) <= found <= fair + 1


@pytest.mark.parametrize("classes", [shuffled_classes([25] * 4), np.repeat(np.arange(4), 25)], ids=["mixed", "sorted"])
def test_thinning_takes_as_many_of_each_of_equally_large_classes(classes: np.ndarray) -> None:
    taken = thin_out(np.arange(100), classes, 20, seed=3)
    assert np.bincount(classes[taken]).tolist() == [5, 5, 5, 5]
    first_of_each = np.sort(np.concatenate([np.flatnonzero(classes == label)[:5] for label in range(4)]))
    assert taken.tolist() not in (first_of_each.tolist(), thin_out(np.arange(100), classes, 20, seed=4).tolist())


@pytest.fixture
def split() -> Split:
    cached = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), dtype=np.uint8)
    rows = np.array([17, 2, 3, 11])
    return Split(ImageRows(cached, rows), SingleTargets(torch.tensor([0, 1, 1, 0])), rows)


def test_image_rows_read_the_rows_of_the_cache(split: Split) -> None:
    images = split.images
    whole = np.asarray(images)
    assert isinstance(images, ImageRows)
    assert len(images) == len(split) == 4
    assert images.shape == whole.shape == (4, 3, 4, 5)
    assert whole.dtype == images.dtype == np.uint8
    for position, row in enumerate(split.rows):
        expected = images._cached[row]
        np.testing.assert_array_equal(images[position], expected)
        np.testing.assert_array_equal(whole[position], expected)
    np.testing.assert_array_equal(images[1:3], whole[1:3])
    np.testing.assert_array_equal(images[np.array([3, 0])], whole[[3, 0]])


def test_image_rows_refuse_to_be_an_array_without_a_copy(split: Split) -> None:
    with pytest.raises(ValueError, match="gathered"):
        np.asarray(split.images, copy=False)


def test_a_pixel_store_gives_floats_from_0_to_1_in_the_order_asked_for(split: Split) -> None:
    store = PixelStore(split)
    taken = store.take(torch.tensor([2, 0, 2]))
    expected = np.asarray(split.images)[[2, 0, 2]].astype(np.float64) / 255

    assert len(store) == 4
    assert taken.dtype == torch.float32
    np.testing.assert_allclose(taken.numpy(), expected, rtol=1e-6)
    assert store.targets.values.tolist() == [0, 1, 1, 0]


def test_a_pixel_store_holds_splits_larger_than_one_chunk() -> None:
    images = np.arange(2500, dtype=np.uint16).view(np.uint8).reshape(2500, 1, 1, 2)
    store = PixelStore(Split(images, SingleTargets(torch.zeros(2500, dtype=torch.long)), np.arange(2500)))
    bytes_again = (store.take(torch.arange(2500)) * 255).round().to(torch.uint8).numpy()
    np.testing.assert_array_equal(bytes_again, images)


def test_bytes_survive_the_way_through_floats() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    store = PixelStore(Split(images, SingleTargets(torch.zeros(256, dtype=torch.long)), np.arange(256)))
    floats = store.take(torch.arange(256))
    assert floats.min() == 0
    assert floats.max() == 1
    np.testing.assert_array_equal((floats * 255).round().to(torch.uint8).numpy(), images)
