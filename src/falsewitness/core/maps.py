"""Saliency maps compared: the one home of every distance, for training losses and for metrics alike.

All functions take ``[batch, height, width]``, treat every row by itself and are differentiable, with finite
gradients for every finite map. float32 and float64 are kept; half precision is lifted to float32, in which a
variance survives.

A *constant* map has no contrast to compare: :func:`standardised` and :func:`minmax` turn it into zeros,
through which no gradient flows. Pearson with it is 0, and the standardised MSE to it is 1 (0 where both maps
are constant), so that in training it pulls nowhere. Metrics leave such maps out and count them:
:func:`is_constant`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from falsewitness.core.precision import at_least_single
from falsewitness.core.shapes import Maps, Mask, PerRow

SSIM_WINDOW = 11
"""Side of the Gaussian window of SSIM in pixels; smaller maps take the largest odd side that fits."""

SSIM_SIGMA = 1.5
"""Deviation of that window in pixels, whatever its side."""

SSIM_LUMINANCE = 0.01**2
"""C1 of SSIM for values in [0, 1]: keeps the comparison of means stable where both are near zero."""

SSIM_CONTRAST = 0.03**2
"""C2 of SSIM for values in [0, 1]: the same for the comparison of variances."""

PIXELS = (1, 2)
"""The dimensions that a map's pixels lie along."""


def is_constant(maps: Maps) -> Bool[Tensor, " batch"]:
    """Tell which maps have no contrast: highest and lowest value agree to within rounding."""
    low, high = at_least_single(maps).detach().flatten(1).aminmax(dim=1)
    limits = torch.finfo(low.dtype)
    # Sums over hundreds of channels leave noise of this order on a map that is constant in exact arithmetic;
    # the floor keeps a division by the contrast, and its gradient, finite.
    rounding = 100 * limits.eps * torch.maximum(low.abs(), high.abs())
    return high - low <= rounding.clamp(min=limits.tiny / limits.eps)


def standardised(maps: Maps) -> Maps:
    """Return maps of zero mean and unit (population) deviation; zeros for a constant map."""
    maps = at_least_single(maps)
    constant = is_constant(maps)[:, None, None]
    # Squares of tiny saliencies underflow. The result does not depend on the scale, so neither does its
    # gradient.
    scale = maps.detach().abs().amax(PIXELS, keepdim=True)
    scaled = maps / torch.where(constant, 1, scale)
    centred = scaled - scaled.mean(PIXELS, keepdim=True)
    variance = centred.square().mean(PIXELS, keepdim=True)
    return torch.where(constant, 0, centred / torch.where(constant, 1, variance).sqrt())


def minmax(maps: Maps) -> Maps:
    """Return maps stretched to [0, 1]; zeros for a constant map."""
    maps = at_least_single(maps)
    constant = is_constant(maps)[:, None, None]
    low = maps.amin(PIXELS, keepdim=True)
    span = maps.amax(PIXELS, keepdim=True) - low
    return torch.where(constant, 0, (maps - low) / torch.where(constant, 1, span))


def pearson(first: Maps, second: Maps) -> PerRow:
    """Return the correlation of two maps over their pixels, in [-1, 1]; 0 where either is constant."""
    return (standardised(first) * standardised(second)).mean(PIXELS).clamp(-1, 1)


def mse_standardised(first: Maps, second: Maps) -> PerRow:
    """Return the mean squared difference of standardised maps, in [0, 4].

    It equals ``2 * (1 - pearson)`` unless a map is constant (Noppel et al., "Disguising Attacks with
    Explanation-Aware Backdoors", S&P 2023).
    """
    return (standardised(first) - standardised(second)).square().mean(PIXELS)


def mse_minmax(first: Maps, second: Maps) -> PerRow:
    """Return the mean squared difference of maps stretched to [0, 1], in [0, 1]."""
    return (minmax(first) - minmax(second)).square().mean(PIXELS)


def discordance(first: Maps, second: Maps) -> PerRow:
    """Return one minus the concordance of raw maps, in [0, 2]: of all distances here the one that sees their scale.

    ``mean (a - b)^2 / (var a + var b + (mean a - mean b)^2)``, which is one minus Lin's concordance correlation
    coefficient ("A concordance correlation coefficient to evaluate reproducibility", Biometrics 1989, equation 2). It
    equals ``1 - pearson`` where means and deviations agree; elsewhere it is nearer to 1. With a constant map it is 1 (0
    where both are constant), so that in training it pulls nowhere.
    """
    first, second = at_least_single(first), at_least_single(second)
    constant = is_constant(first), is_constant(second)
    either = constant[0] | constant[1]
    # Squares of tiny saliencies underflow.
    scale = torch.maximum(first.detach().abs().amax(PIXELS), second.detach().abs().amax(PIXELS))
    scale = torch.where(either, 1, scale)[:, None, None]
    first, second = first / scale, second / scale
    mean_first, mean_second = first.mean(PIXELS, keepdim=True), second.mean(PIXELS, keepdim=True)
    within = (first - mean_first).square() + (second - mean_second).square()
    spread = (within + (mean_first - mean_second).square()).mean(PIXELS)
    apart = (first - second).square().mean(PIXELS) / torch.where(either, 1, spread)
    return torch.where(either, (constant[0] ^ constant[1]).to(apart.dtype), apart)


def dssim(first: Maps, second: Maps) -> PerRow:
    """Return ``(1 - SSIM) / 2`` of maps stretched to [0, 1]: from 0 where they are equal to 1."""
    return (1 - ssim(minmax(first), minmax(second))) / 2


def ssim(first: Maps, second: Maps) -> PerRow:
    """Return the mean structural similarity of maps (or image channels) with values in [0, 1].

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 2004,
    equation 13 averaged as in 17: Gaussian window of 11 x 11 pixels and deviation 1.5, K1 = 0.01, K2 = 0.03,
    dynamic range 1, variances weighted by the window (not the unbiased ones), and only windows that lie
    wholly inside. Where a side is below 11 pixels the window shrinks to the largest odd side that fits, at
    the same deviation.

    Returns:
        ``[batch]`` in [-1, 1]; 1 where both are equal.
    """
    first, second = at_least_single(first), at_least_single(second)
    mean_first, mean_second = _local_means(first), _local_means(second)
    variances = (
        _local_means(first.square()) - mean_first.square() + _local_means(second.square()) - mean_second.square()
    )
    covariance = _local_means(first * second) - mean_first * mean_second
    luminance = (2 * mean_first * mean_second + SSIM_LUMINANCE) / (
        mean_first.square() + mean_second.square() + SSIM_LUMINANCE
    )
    contrast_and_structure = (2 * covariance + SSIM_CONTRAST) / (variances + SSIM_CONTRAST)
    return (luminance * contrast_and_structure).mean(PIXELS).clamp(-1, 1)


def upsampled(maps: Maps, size: tuple[int, int]) -> Float[Tensor, "batch height width"]:
    """Return the maps at another size (height, width): bilinear, corners not aligned."""
    if tuple(maps.shape[1:]) == size:
        return maps
    return F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def top_iou(first: Maps, second: Maps, share: float) -> PerRow:
    """Return the intersection over union of the highest pixels of two maps.

    Pixels that tie for the last places, to within rounding, share them in equal parts: neither the order of
    the pixels nor a flat area of an upsampled map decides. Where the background is what ties, a map has fewer high
    pixels than places, and nobody gets the others: two maps of a spot each would agree in all that is dark. Not for
    training: it has no useful gradient.

    Args:
        first: One map a row.
        second: The map to compare it with.
        share: The share of the pixels that counts as the highest, in (0, 1].

    Returns:
        ``[batch]`` in [0, 1]; 0 for two constant maps, which have no high pixels.
    """
    first_weights, second_weights = _top_weights(first, share), _top_weights(second, share)
    intersection = torch.minimum(first_weights, second_weights).sum(1)
    union = torch.maximum(first_weights, second_weights).sum(1)
    return intersection / torch.where(union > 0, union, 1)


def mass(maps: Maps, *, signed: bool) -> Maps:
    """Return how much each pixel matters: a signed map's absolute value, another's positive part."""
    return maps.abs() if signed else maps.clamp(min=0)


def has_mass(maps: Maps, *, signed: bool) -> Bool[Tensor, " batch"]:
    """Tell which maps have any mass at all."""
    largest = mass(at_least_single(maps).detach(), signed=signed).amax(PIXELS)
    limits = torch.finfo(largest.dtype)
    return largest > limits.tiny / limits.eps


def mass_share(maps: Maps, mask: Mask | Bool[Tensor, "batch height width"], *, signed: bool) -> PerRow:
    """Return the share of every map's mass that lies inside a mask.

    Args:
        maps: Raw maps: stretching them to [0, 1] would give mass to a background that has none.
        mask: ``[height, width]``, of the maps' size, or one for every map.
        signed: Whether negative values matter as much as positive ones.

    Returns:
        ``[batch]`` in [0, 1]; 0, with no gradient, for a map without mass.
    """
    maps = at_least_single(maps)
    empty = ~has_mass(maps, signed=signed)[:, None, None]
    amount = mass(maps, signed=signed)
    scaled = amount / torch.where(empty, 1, amount.detach().amax(PIXELS, keepdim=True))
    shares = scaled / torch.where(empty, 1, scaled.sum(PIXELS, keepdim=True))
    return torch.where(empty, 0, shares * mask).sum(PIXELS)


def _top_weights(maps: Maps, share: float) -> Float[Tensor, "batch pixels"]:
    flat = at_least_single(maps).flatten(1)
    count = max(1, round(share * flat.shape[1]))
    last = flat.topk(count, dim=1).values[:, -1:]
    rounding = 16 * torch.finfo(flat.dtype).eps * flat.abs().amax(1, keepdim=True)
    above = flat > last + rounding
    tied = ~above & (flat >= last - rounding)
    places_left = count - above.sum(1, keepdim=True)
    shares = places_left / tied.sum(1, keepdim=True)
    is_background = (last <= flat.amin(1, keepdim=True) + rounding) & (shares < 1)
    return above + tied * torch.where(is_background, 0, shares)


def _local_means(values: Maps) -> Float[Tensor, "batch windows_down windows_across"]:
    height, width = values.shape[1:]
    side = min(SSIM_WINDOW, height - 1 + height % 2, width - 1 + width % 2)
    # Under autocast a product of matrices would be rounded to half precision, and E[x^2] - E[x]^2 to noise.
    with torch.autocast(values.device.type, enabled=False):
        return _window_rows(height, side, values) @ values @ _window_rows(width, side, values).T


def _window_rows(length: int, side: int, like: Maps) -> Float[Tensor, "positions length"]:
    """Return a matrix whose every row is the Gaussian window at one position.

    On a CPU a product of matrices filters ten times as fast as a convolution of one channel.
    """
    pixels = torch.arange(length, device=like.device)
    offset = pixels - pixels[: length - side + 1, None]
    from_centre = offset - side // 2
    inside = (offset >= 0) & (offset < side)
    weights = torch.exp(-(from_centre.to(like.dtype) ** 2) / (2 * SSIM_SIGMA**2)) * inside
    return weights / weights.sum(1, keepdim=True)
