import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from falsewitness.core import maps as m

Array = npt.NDArray[np.float64]
Distance = Callable[[Tensor, Tensor], Tensor]
DISTANCES: list[Distance] = [m.mse_standardised, m.mse_minmax, m.dssim]
SIZES = [(1, 5), (2, 2), (4, 4), (7, 9), (8, 8), (13, 17)]


def random_maps(seed: int, size: tuple[int, int], count: int = 3) -> Tensor:
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_pearson(first: Array, second: Array) -> float:
    mean_first, mean_second = first.sum() / first.size, second.sum() / second.size
    covariance = sum((a - mean_first) * (b - mean_second) for a, b in zip(first.flat, second.flat, strict=True))
    variance_first = sum((a - mean_first) ** 2 for a in first.flat)
    variance_second = sum((b - mean_second) ** 2 for b in second.flat)
    return float(covariance / math.sqrt(variance_first * variance_second))


def slow_minmax(values: Array) -> Array:
    stretched: Array = (values - values.min()) / (values.max() - values.min())
    return stretched


def slow_ssim(first: Array, second: Array) -> float:
    """Wang et al. 2004, equations 13 to 17: one window at a time."""
    height, width = first.shape
    side = next(side for side in (11, 9, 7, 5, 3, 1) if side <= min(height, width))
    half = side // 2
    window = np.array(
        [[math.exp(-(i**2 + j**2) / (2 * 1.5**2)) for j in range(-half, half + 1)] for i in range(-half, half + 1)]
    )
    window /= window.sum()
    similarities = []
    for top in range(height - side + 1):
        for left in range(width - side + 1):
            x = first[top : top + side, left : left + side]
            y = second[top : top + side, left : left + side]
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            variance_x = (window * (x - mean_x) ** 2).sum()
            variance_y = (window * (y - mean_y) ** 2).sum()
            covariance = (window * (x - mean_x) * (y - mean_y)).sum()
            similarities.append(
                ((2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2))
                / ((mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2))
            )
    return float(np.mean(similarities))


def slow_bilinear(values: Array, size: tuple[int, int]) -> Array:
    """Sample at pixel centres: row i of the result looks at (i + 1/2) * height / new height - 1/2."""

    def place(index: int, old: int, new: int) -> tuple[int, int, float]:
        at = max((index + 0.5) * old / new - 0.5, 0.0)
        low = min(int(at), old - 1)
        return low, min(low + 1, old - 1), at - low

    result = np.empty(size)
    for row in range(size[0]):
        for column in range(size[1]):
            top, bottom, down = place(row, values.shape[0], size[0])
            left, right, across = place(column, values.shape[1], size[1])
            upper = values[top, left] * (1 - across) + values[top, right] * across
            lower = values[bottom, left] * (1 - across) + values[bottom, right] * across
            result[row, column] = upper * (1 - down) + lower * down
    return result


@pytest.mark.parametrize("size", SIZES)
def test_pearson_and_standardised_mse_follow_the_textbook_formula(size: tuple[int, int]) -> None:
    first, second = random_maps(0, size), random_maps(1, size)
    expected = torch.tensor(
        [slow_pearson(a.numpy(), b.numpy()) for a, b in zip(first, second, strict=True)], dtype=torch.float64
    )
    torch.testing.assert_close(m.pearson(first, second), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        m.mse_standardised(first, second), 2 * (1 - m.pearson(first, second)), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("size", SIZES)
def test_standardised_maps_have_zero_mean_and_unit_deviation(size: tuple[int, int]) -> None:
    standard = m.standardised(5 + 3 * random_maps(0, size)).flatten(1)
    torch.testing.assert_close(standard.mean(1), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(standard.std(1, correction=0), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("size", [*SIZES, (32, 32)])
def test_ssim_and_dssim_follow_the_paper_window_by_window(size: tuple[int, int]) -> None:
    first, second = random_maps(0, size), random_maps(1, size)
    second = first + 0.3 * second
    similarity = torch.tensor(
        [slow_ssim(slow_minmax(a.numpy()), slow_minmax(b.numpy())) for a, b in zip(first, second, strict=True)],
        dtype=torch.float64,
    )
    torch.testing.assert_close(m.ssim(m.minmax(first), m.minmax(second)), similarity, atol=1e-10, rtol=0)
    torch.testing.assert_close(m.dssim(first, second), (1 - similarity) / 2, atol=1e-10, rtol=0)


def test_mse_of_maps_stretched_to_the_unit_range_has_a_known_answer() -> None:
    first = torch.tensor([[[0.0, 1.0], [2.0, 4.0]]])
    second = torch.tensor([[[4.0, 1.0], [2.0, 0.0]]])
    differences = torch.tensor([0.0 - 1.0, 0.25 - 0.25, 0.5 - 0.5, 1.0 - 0.0])
    torch.testing.assert_close(m.mse_minmax(first, second), differences.square().mean().reshape(1))


@pytest.mark.parametrize("size", [(8, 8), (3, 7), (32, 32), (5, 2)])
def test_upsampling_is_bilinear_between_pixel_centres(size: tuple[int, int]) -> None:
    maps = random_maps(0, (4, 3))
    expected = np.stack([slow_bilinear(one.numpy(), size) for one in maps])
    torch.testing.assert_close(m.upsampled(maps, size), torch.from_numpy(expected))


def test_upsampling_to_the_same_size_changes_nothing() -> None:
    maps = random_maps(0, (4, 3))
    assert m.upsampled(maps, (4, 3)).equal(maps)


@pytest.mark.parametrize("distance", DISTANCES)
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-10, 10),
    size=st.sampled_from([(2, 2), (4, 4), (8, 8), (12, 12)]),
)
def test_distances_are_symmetric_bounded_and_blind_to_scale_and_shift(
    distance: Distance, seed: int, scale: float, shift: float, size: tuple[int, int]
) -> None:
    first, second = random_maps(seed, size), random_maps(seed + 1, size)
    apart = distance(first, second)
    torch.testing.assert_close(apart, distance(second, first))
    torch.testing.assert_close(apart, distance(scale * (first + shift), second), atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(distance(first, first), torch.zeros_like(apart))
    upper = 4 if distance is m.mse_standardised else 1
    assert (apart > 0).all()
    assert (apart <= upper).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10))
def test_the_discordance_is_one_minus_lin_s_coefficient_and_sees_scale_and_shift(
    seed: int, scale: float, shift: float
) -> None:
    first, second = random_maps(seed, (5, 4)), scale * random_maps(seed + 1, (5, 4)) + shift
    slow = []
    for x, y in zip(first.numpy(), second.numpy(), strict=True):
        covariance = ((x - x.mean()) * (y - y.mean())).mean()
        slow.append(1 - 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))
    found = m.discordance(first, second)
    torch.testing.assert_close(found, torch.tensor(slow))
    torch.testing.assert_close(found, m.discordance(second, first))
    torch.testing.assert_close(m.discordance(1e-12 * first, 1e-12 * second), found)
    assert ((1 - found).abs() <= m.pearson(first, second).abs() + 1e-9).all()
    assert (m.discordance(first, 2 * first) > 0.1).all()
    torch.testing.assert_close(m.discordance(first, first), torch.zeros_like(found))


@pytest.mark.parametrize("distance", [*DISTANCES, m.discordance])
@pytest.mark.parametrize("size", [(4, 4), (7, 5), (12, 11)])
def test_distances_have_the_gradient_of_finite_differences(distance: Distance, size: tuple[int, int]) -> None:
    first = random_maps(0, size, count=1).requires_grad_()
    second = random_maps(1, size, count=1).requires_grad_()
    assert torch.autograd.gradcheck(distance, (first, second))


@pytest.mark.parametrize("distance", [*DISTANCES, m.discordance, m.pearson, m.ssim])
@pytest.mark.parametrize("value", [0.0, 0.7, -1e3, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_maps_get_finite_values_and_gradients(distance: Distance, value: float, dtype: torch.dtype) -> None:
    varying = random_maps(0, (8, 8), count=2).to(dtype).requires_grad_()
    constant = torch.full_like(varying, value, requires_grad=True)
    for first, second in ((constant, varying), (constant, constant.detach())):
        result = distance(first, second)
        gradients = torch.autograd.grad(result.sum(), (constant, varying), allow_unused=True)
        assert result.isfinite().all()
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("distance", [*DISTANCES, m.discordance, m.pearson])
def test_no_gradient_flows_through_a_constant_map(distance: Distance) -> None:
    constant = torch.full((2, 8, 8), 0.3, requires_grad=True)
    (gradient,) = torch.autograd.grad(distance(constant, random_maps(0, (8, 8), count=2).float()).sum(), constant)
    assert not gradient.any()


def test_a_constant_map_has_correlation_zero_and_standardised_mse_one() -> None:
    varying, constant = random_maps(0, (8, 8)), torch.full((3, 8, 8), 2.0, dtype=torch.float64)
    ones, zeros = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    torch.testing.assert_close(m.pearson(varying, constant), zeros)
    torch.testing.assert_close(m.mse_standardised(varying, constant), ones)
    torch.testing.assert_close(m.mse_standardised(constant, constant), zeros)
    torch.testing.assert_close(m.discordance(varying, constant), ones)
    torch.testing.assert_close(m.discordance(constant, constant + 1), zeros)


def test_a_constant_row_leaves_the_other_rows_alone() -> None:
    maps, others = random_maps(0, (8, 8)), random_maps(1, (8, 8))
    alone = m.dssim(maps[1:], others[1:])
    maps[0] = 0
    torch.testing.assert_close(m.dssim(maps, others)[1:], alone)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], True),
        ([0.1, 0.1, 0.1, 0.1 * (1 + 1e-6)], True),
        ([0.1, 0.1, 0.1, 0.1001], False),
        ([0.0, 0.0, 0.0, 1e-20], False),
        ([1e-20, 1e-20, 1e-20, 1e-20], True),
        ([0.0, 0.0, 0.0, 1e-35], True),
    ],
)
def test_a_map_is_constant_where_its_contrast_is_rounding(values: list[float], expected: bool) -> None:
    assert m.is_constant(torch.tensor(values).reshape(1, 2, 2)).item() is expected


def test_an_upsampled_constant_map_is_still_constant() -> None:
    assert m.is_constant(m.upsampled(torch.full((1, 7, 7), 0.1), (224, 224))).all()


def test_tiny_saliencies_compare_as_large_ones_do() -> None:
    first, second = random_maps(0, (8, 8)).float(), random_maps(1, (8, 8)).float()
    torch.testing.assert_close(m.pearson(first * 1e-28, second), m.pearson(first, second))


def test_half_precision_is_lifted_before_it_is_compared() -> None:
    first, second = random_maps(0, (8, 8)).bfloat16(), random_maps(1, (8, 8)).bfloat16()
    assert m.dssim(first, second).dtype == torch.float32
    torch.testing.assert_close(m.dssim(first, second), m.dssim(first.float(), second.float()))


def test_autocast_does_not_coarsen_the_similarity() -> None:
    first, second = random_maps(0, (16, 16)).float(), random_maps(1, (16, 16)).float()
    expected = m.dssim(first, second)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(m.dssim(first, second), expected)


def test_top_pixels_overlap_as_counted_by_hand() -> None:
    first, second = torch.arange(20.0).reshape(1, 4, 5), torch.arange(20.0).reshape(1, 4, 5)
    second[0, 3, 4], second[0, 0, 0] = 0, 19
    torch.testing.assert_close(m.top_iou(first, second, 0.1), torch.tensor([1 / 3]))
    torch.testing.assert_close(m.top_iou(first, first, 0.1), torch.tensor([1.0]))


def test_pixels_that_tie_for_the_last_places_share_them() -> None:
    first = torch.tensor([[[9.0, 1.0, 1.0, 1.0, 0.0]]])
    second = torch.tensor([[[9.0, 0.0, 0.0, 8.0, 0.0]]])
    # Two places: pixel 0 is in both; a place of the first map is shared by three pixels, pixel 3 among them.
    torch.testing.assert_close(m.top_iou(first, second, 0.4), torch.tensor([(1 + 1 / 3) / (2 + 2 / 3)]))


def test_a_background_is_never_among_the_highest_pixels() -> None:
    spot, other = torch.zeros(2, 1, 32, 32)
    spot[:, 4:8, 4:8], other[:, 20:24, 20:24] = 1, 1
    for maps, expected in ((spot, 1.0), (other, 0.0), (torch.zeros_like(spot), 0.0)):
        torch.testing.assert_close(m.top_iou(spot, maps, 0.1), torch.tensor([expected]))
    torch.testing.assert_close(m.top_iou(spot, other, 1.0), torch.tensor([1.0]))


def test_rounding_does_not_break_the_ties_of_an_upsampled_map() -> None:
    maps = m.upsampled(random_maps(0, (4, 4), count=20).float(), (16, 16))
    torch.testing.assert_close(m.top_iou(maps, 3 * maps + 1, 0.1), torch.ones(20))


def test_the_highest_pixels_are_as_many_as_the_share_rounds_to() -> None:
    first, second = (random_maps(seed, (16, 16), count=1) for seed in (0, 1))
    highest = [set(maps.flatten().argsort(descending=True)[:26].tolist()) for maps in (first, second)]  # of 25.6
    expected = len(highest[0] & highest[1]) / len(highest[0] | highest[1])
    assert m.top_iou(first, second, 0.1).tolist() == pytest.approx([expected])


@given(seed=st.integers(0, 1000), share=st.floats(0.01, 1.0))
@settings(max_examples=30, deadline=None)
def test_top_overlap_is_the_same_in_any_order_of_pixels(seed: int, share: float) -> None:
    first = random_maps(seed, (5, 6)).clamp(min=0)
    second = random_maps(seed + 1, (5, 6)).clamp(min=0)
    overlap = m.top_iou(first, second, share)
    torch.testing.assert_close(overlap, m.top_iou(first.flip(2), second.flip(2), share))
    torch.testing.assert_close(overlap, m.top_iou(second, first, share))
    assert ((overlap >= 0) & (overlap <= 1)).all()


def test_mass_inside_a_mask_is_counted_by_sign() -> None:
    maps = torch.tensor([[[1.0, -3.0], [2.0, 0.0]]])
    mask = torch.tensor([[False, True], [True, False]])
    torch.testing.assert_close(m.mass_share(maps, mask, signed=False), torch.tensor([2 / 3]))
    torch.testing.assert_close(m.mass_share(maps, mask, signed=True), torch.tensor([5 / 6]))


def test_a_map_without_mass_has_no_share_and_a_finite_gradient() -> None:
    maps = torch.tensor([[[0.0, -3.0], [-2.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]], requires_grad=True)
    mask = torch.tensor([[False, True], [False, False]])
    shares = m.mass_share(maps, mask, signed=False)
    (gradient,) = torch.autograd.grad(shares.sum(), maps)
    assert shares.tolist() == [0.0, 0.25]
    assert m.has_mass(maps, signed=False).tolist() == [False, True]
    assert m.has_mass(maps, signed=True).tolist() == [True, True]
    assert gradient.isfinite().all()
    assert not gradient[0].any()


def test_every_map_may_have_a_mask_of_its_own() -> None:
    maps = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    masks = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(1)) < 0.5
    apart = torch.cat([m.mass_share(maps[row : row + 1], masks[row], signed=True) for row in range(3)])
    torch.testing.assert_close(m.mass_share(maps, masks, signed=True), apart)


def test_mass_share_has_the_gradient_of_finite_differences() -> None:
    maps = random_maps(0, (4, 4)).requires_grad_()
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[2:, 2:] = True
    assert torch.autograd.gradcheck(lambda values: m.mass_share(values, mask, signed=True), (maps,))
