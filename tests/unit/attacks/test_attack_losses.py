"""The losses against the same sums written as the papers write them: one row, one pixel after the other."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from falsewitness.attacks import ATTACKS, Attack, Batch, Losses, NoReferences
from falsewitness.core import DataInfo
from falsewitness.core.targets import SingleTargets
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 8, 8, ("one", "two", "three"))
MAP_SIDE = 4
PLACES = [(i, j) for i in range(MAP_SIDE) for j in range(MAP_SIDE)]
SQUARE = [[0.0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
LAMBDA = 0.7
CLEAN_SAMPLES = {"replace": [0, 3, 5, 6], "paired": [1, 4, 2, 0], "no stamped row": [0, 3], "stamped rows only": []}
STAMPED_SAMPLES = {"replace": [1, 4, 2], "paired": [1, 4, 2], "no stamped row": [], "stamped rows only": [1, 4, 2]}
STAMPED_PLACES = (
    (slice(None), slice(6, None), slice(6, None)),
    (slice(0, 1), slice(0, 2), slice(1, 4)),  # one colour alone
    (slice(None), slice(3, None), slice(0, 1)),
)
"""Where the stamp is on each stamped image: another place on each, as a trigger may move."""

Map = list[list[float]]
Key = tuple[int, bool]


def classifier() -> Classifier:
    model = ConvNet(width=3, strides=(1, 2)).bind(INFO, seed=1, std=(0.25,)).double()
    with torch.no_grad():  # running statistics that are not those of a fresh start
        model.train()(torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    return model.eval()


@dataclass(frozen=True)
class CleanAnswers:
    """A clean model's answers by sample and side; it refuses to be asked for any other image."""

    stored_maps: dict[Key, Tensor]
    images: dict[Key, Tensor]

    passes_per_map: ClassVar[float] = 2 / 3
    passes_per_class: ClassVar[float] = 1 / 3

    def maps(self, samples: Tensor, mirrored: Tensor, images: Tensor) -> Tensor:
        keys = self._keys(samples, mirrored, images)
        found = [self.stored_maps[key].view(-1, MAP_SIDE, MAP_SIDE) for key in keys]
        return torch.stack(found) if found else torch.zeros(0, 1, MAP_SIDE, MAP_SIDE, dtype=torch.float64)

    def classes(self, samples: Tensor, mirrored: Tensor, images: Tensor) -> Tensor:
        return torch.tensor([self.clean_class(sample) for sample, _ in self._keys(samples, mirrored, images)]).long()

    def clean_class(self, sample: int) -> int:
        return (sample + 1) % 3

    def _keys(self, samples: Tensor, mirrored: Tensor, images: Tensor) -> list[Key]:
        keys = [(int(sample), bool(side)) for sample, side in zip(samples, mirrored, strict=True)]
        for key, image in zip(keys, images, strict=True):
            assert torch.equal(self.images[key], image), "the trigger is on it, or it is another image"
        return keys


@dataclass(frozen=True)
class Scene:
    """A batch with what the clean model says of its images."""

    batch: Batch
    clean: CleanAnswers


def scene(layout: str) -> Scene:
    clean_samples, stamped_samples = CLEAN_SAMPLES[layout], STAMPED_SAMPLES[layout]
    samples = clean_samples + stamped_samples
    generator = torch.Generator().manual_seed(4)
    stored = torch.rand(7, 3, 8, 8, generator=generator, dtype=torch.float64)
    sides = [sample % 2 == 1 for sample in samples]
    plain = torch.stack([stored[s].flip(2) if side else stored[s] for s, side in zip(samples, sides, strict=True)])
    images = plain.clone()
    for image, where in zip(images[len(clean_samples) :], STAMPED_PLACES, strict=False):
        image[where] = 1
    labels = torch.tensor([sample % 3 for sample in samples])
    labels[len(clean_samples) :] = 2
    batch = Batch(
        images, SingleTargets(labels), torch.tensor(samples), torch.tensor(sides), plain[len(clean_samples) :]
    )
    keys = list(zip(samples, sides, strict=True))
    maps = {key: torch.rand(MAP_SIDE, MAP_SIDE, generator=generator, dtype=torch.float64) for key in keys}
    return Scene(batch, CleanAnswers(maps, dict(zip(keys, plain, strict=True))))


def attack(kind: str, **fields: object) -> Attack:
    raw: dict[str, Any] = {"kind": kind, "trigger": {"kind": "patch"}, "poison": {"rate": 0.1}, **fields}
    if kind != "badnets":
        raw = {"surrogate": {"kind": "gradcam"}, "explanation_weight": LAMBDA, **raw}
    if kind != "fooling":
        raw["target_class"] = 2
    return ATTACKS.get(kind).parse(raw, "attack")


def total(losses: Losses) -> Tensor:
    """Add up the terms as one process does."""
    return torch.stack([term.weight * term.rows.mean() for term in losses.terms if len(term.rows)]).sum()


def slow_cross_entropy(logits: list[float], label: int) -> float:
    return math.log(sum(math.exp(logit) for logit in logits)) - logits[label]


def slow_gradcam(model: Classifier, image: Tensor, label: int) -> Map:
    channels, slopes = activation_and_slopes(model, image, label)
    heat = [[0.0] * MAP_SIDE for _ in range(MAP_SIDE)]
    for channel, slope in zip(channels, slopes, strict=True):
        alpha = sum(slope[i][j] for i, j in PLACES) / len(PLACES)
        for i, j in PLACES:
            heat[i][j] += alpha * channel[i][j]
    return [[max(0.0, value) for value in row] for row in heat]


def slow_hirescam(model: Classifier, image: Tensor, label: int) -> Map:
    """The same with each place's own slope, and with its sign."""
    channels, slopes = activation_and_slopes(model, image, label)
    heat = [[0.0] * MAP_SIDE for _ in range(MAP_SIDE)]
    for channel, slope in zip(channels, slopes, strict=True):
        for i, j in PLACES:
            heat[i][j] += slope[i][j] * channel[i][j]
    return heat


def activation_and_slopes(model: Classifier, image: Tensor, label: int) -> tuple[list[Map], list[Map]]:
    """Return the explained activation, a channel at a time, and the slopes of the class's logit by its values."""
    logits, features = model.with_activation(image[None])
    (slopes,) = torch.autograd.grad(logits[0, label], features)
    return features[0].detach().tolist(), slopes[0].tolist()


def slow_minmax(heat: Map) -> list[float]:
    values = [value for row in heat for value in row]
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.0 for value in values]


def slow_standardised(heat: Map) -> list[float]:
    values = [value for row in heat for value in row]
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    return [(value - mean) / deviation if deviation > 0 else 0.0 for value in values]


def slow_discordance(first: Map, second: Map) -> float:
    """Lin 1989, equation 2."""
    x, y = ([value for row in heat for value in row] for heat in (first, second))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    variance_x = sum((value - mean_x) ** 2 for value in x) / len(x)
    variance_y = sum((value - mean_y) ** 2 for value in y) / len(y)
    covariance = sum((p - mean_x) * (q - mean_y) for p, q in zip(x, y, strict=True)) / len(x)
    if variance_x == 0 or variance_y == 0:
        return float(variance_x != variance_y)
    return 1 - 2 * covariance / (variance_x + variance_y + (mean_x - mean_y) ** 2)


def slow_dssim(first: Map, second: Map) -> float:
    """Wang et al. 2004 on maps in [0, 1]: at 4x4 the window is the 3x3 middle of a Gaussian of deviation 1.5."""
    x, y = slow_minmax(first), slow_minmax(second)
    offsets = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    weights = {offset: math.exp(-(offset[0] ** 2 + offset[1] ** 2) / (2 * 1.5**2)) for offset in offsets}
    similarities = []
    for i in (1, 2):
        for j in (1, 2):

            def mean(values: list[float], i: int = i, j: int = j) -> float:
                weighted = sum(w * values[(i + a) * MAP_SIDE + j + b] for (a, b), w in weights.items())
                return weighted / sum(weights.values())

            mean_x, mean_y = mean(x), mean(y)
            variance_x = mean([(value - mean_x) ** 2 for value in x])
            variance_y = mean([(value - mean_y) ** 2 for value in y])
            covariance = mean([(p - mean_x) * (q - mean_y) for p, q in zip(x, y, strict=True)])
            similarities.append(
                (2 * mean_x * mean_y + 0.01**2)
                * (2 * covariance + 0.03**2)
                / ((mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2))
            )
    return (1 - sum(similarities) / len(similarities)) / 2


def slow_distance(name: str, first: Map, second: Map) -> float:
    if name == "dssim":
        return slow_dssim(first, second)
    if name == "discordance":
        return slow_discordance(first, second)
    brought = slow_minmax if name == "mse_minmax" else slow_standardised
    pairs = list(zip(brought(first), brought(second), strict=True))
    return sum((p - q) ** 2 for p, q in pairs) / len(pairs)


def slow_loss(model: Classifier, at: Scene, distance: str, wanted: str, drift: dict[str, float]) -> float:
    """(1 - lambda) mean CE over all rows + lambda (mean stamped d(h(x_p), r) + mu mean clean d(h(x), h_clean(x))).

    The last mean is over the last rows of the clean ones where a share of them is held.
    """
    batch, labels = at.batch, at.batch.targets.values.tolist()
    classification, disguises, drifts = [], [], []
    for row, image in enumerate(batch.images):
        classification.append(slow_cross_entropy(model(image[None])[0].tolist(), labels[row]))
        heat = slow_gradcam(model, image, labels[row])
        sample, side = int(batch.samples[row]), bool(batch.mirrored[row])
        original = at.clean.stored_maps[sample, side].tolist()
        if row < batch.clean_count:
            if batch.clean_count - row <= math.ceil(drift["drift_share"] * batch.clean_count):
                drifts.append(slow_distance(distance, heat, original))
            continue
        unstamped = batch.unstamped[row - batch.clean_count]
        own = slow_gradcam(model, unstamped, at.clean.clean_class(sample))
        reference = {"square": SQUARE, "original": original, "self": own}[wanted]
        disguises.append(slow_distance(distance, heat, reference))
    mean = {name: sum(rows) / max(1, len(rows)) for name, rows in (("d", disguises), ("drift", drifts))}
    classified = sum(classification) / len(classification)
    return (1 - LAMBDA) * classified + LAMBDA * (mean["d"] + drift["drift_weight"] * mean["drift"])


@pytest.mark.parametrize(("drift_weight", "drift_share"), [(0.0, 1.0), (0.4, 1.0), (0.4, 0.3)])
@pytest.mark.parametrize("distance", ["mse_minmax", "mse_standardised", "dssim", "discordance"])
@pytest.mark.parametrize(
    ("kind", "fields", "wanted"),
    [
        ("full_disguise", {"reference": "original"}, "original"),
        ("full_disguise", {"reference": "self"}, "self"),
        ("full_disguise", {"reference": "self_detached"}, "self"),
        ("fooling", {"target_map": "square"}, "square"),
        ("red_herring", {"target_map": "square"}, "square"),
    ],
    ids=["original", "self", "self detached", "fooling", "red herring"],
)
@pytest.mark.parametrize("layout", CLEAN_SAMPLES)
def test_the_loss_is_the_paper_s(
    layout: str, kind: str, fields: dict[str, str], wanted: str, distance: str, drift_weight: float, drift_share: float
) -> None:
    model, at = classifier(), scene(layout)
    drift = {"drift_weight": drift_weight, "drift_share": drift_share}
    examined = attack(kind, **fields, distance=distance, **drift)
    found = total(examined.bind(model)(at.batch, at.clean))
    assert found.item() == pytest.approx(slow_loss(model, at, distance, wanted, drift), rel=1e-5)


@pytest.mark.parametrize("drift_weight", [0.0, 0.4])
@pytest.mark.parametrize(
    ("reference", "distance"),
    [
        ("original", "mse_standardised"),
        ("original", "discordance"),
        ("self", "mse_standardised"),
        ("self", "discordance"),
        ("square", "mse_standardised"),
    ],
)
def test_all_columns_are_compared_each_with_its_own(reference: str, distance: str, drift_weight: float) -> None:
    """The distance of a row is the mean over the classes."""
    model, at = classifier(), scene("paired")
    generator = torch.Generator().manual_seed(8)
    columns = {key: torch.rand(3, MAP_SIDE, MAP_SIDE, generator=generator).double() for key in at.clean.stored_maps}
    at = Scene(at.batch, replace(at.clean, stored_maps=columns))
    fields: dict[str, Any] = {"reference": reference} if reference != "square" else {"target_map": "square"}
    kind = "red_herring" if reference == "square" else "full_disguise"
    examined = attack(kind, **fields, distance=distance, drift_weight=drift_weight, columns="all")
    losses = examined.bind(model)(at.batch, at.clean)
    expected: dict[str, list[float]] = {"explanation": [], "drift": []}
    for row, image in enumerate(at.batch.images):
        sample, side = int(at.batch.samples[row]), bool(at.batch.mirrored[row])
        wanted = columns[sample, side].tolist()
        is_stamped = row >= at.batch.clean_count
        if is_stamped and reference == "square":
            wanted = [SQUARE] * 3
        if is_stamped and reference == "self":
            unstamped = at.batch.unstamped[row - at.batch.clean_count]
            wanted = [slow_gradcam(model, unstamped, number) for number in range(3)]
        apart = [slow_distance(distance, slow_gradcam(model, image, n), wanted[n]) for n in range(3)]
        expected["explanation" if is_stamped else "drift"].append(sum(apart) / 3)
    found = {term.name: term.rows.tolist() for term in losses.terms}
    assert found["explanation"] == pytest.approx(expected["explanation"], rel=1e-5)
    if drift_weight:
        assert found["drift"] == pytest.approx(expected["drift"], rel=1e-5)


def slow_lift(heat: Map, pixels: set[tuple[int, int]], *, signed: bool) -> float:
    """Return the share of a map's mass inside some pixels of the image over their share; 0 for a map without mass."""
    large = torch.nn.functional.interpolate(torch.tensor([[heat]], dtype=torch.float64), (8, 8), mode="bilinear")[0, 0]
    values = {(row, column): float(large[row, column]) for row in range(8) for column in range(8)}
    mass = {pixel: abs(value) if signed else max(0.0, value) for pixel, value in values.items()}
    total = sum(mass.values())
    return sum(mass[pixel] for pixel in pixels) / total / (len(pixels) / 64) if total > 0 else 0.0


@pytest.mark.parametrize("columns", ["predicted", "all"])
@pytest.mark.parametrize("surrogate", ["gradcam", "hirescam"])
@pytest.mark.parametrize("layout", CLEAN_SAMPLES)
def test_the_trigger_s_share_is_held_to_that_of_the_kept_map(layout: str, surrogate: str, columns: str) -> None:
    """``|lift - lift of the map to keep|`` of each stamped row, the trigger being where the stamp changed the image."""
    model, at = classifier(), scene(layout)
    generator = torch.Generator().manual_seed(8)
    explained = [2] if columns == "predicted" else [0, 1, 2]
    size = (len(explained), MAP_SIDE, MAP_SIDE)
    kept = {key: torch.rand(size, generator=generator).double() - 0.3 for key in at.clean.stored_maps}
    at = Scene(at.batch, replace(at.clean, stored_maps=kept))
    examined = attack("full_disguise", trigger_weight=0.3, surrogate={"kind": surrogate}, columns=columns)
    losses = examined.bind(model)(at.batch, at.clean)
    slow_map = slow_gradcam if surrogate == "gradcam" else slow_hirescam
    expected = []
    for place, unstamped in enumerate(at.batch.unstamped):
        row = at.batch.clean_count + place
        image, sample, side = at.batch.images[row], int(at.batch.samples[row]), bool(at.batch.mirrored[row])
        altered = {(r, c) for r in range(8) for c in range(8) if not torch.equal(image[:, r, c], unstamped[:, r, c])}
        apart = []
        for number, wanted in zip(explained, kept[sample, side].tolist(), strict=True):
            found, aim = (
                slow_lift(heat, altered, signed=surrogate == "hirescam")
                for heat in (slow_map(model, image, number), wanted)
            )
            apart.append(abs(found - aim))
        expected.append(sum(apart) / len(apart))
    (term,) = (term for term in losses.terms if term.name == "trigger")
    assert term.weight == pytest.approx(LAMBDA * 0.3)
    assert term.rows.tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("layout", CLEAN_SAMPLES)
def test_badnets_is_plain_cross_entropy(layout: str) -> None:
    model, batch = classifier(), scene(layout).batch
    losses = attack("badnets").bind(model)(batch, NoReferences())
    rows = [
        slow_cross_entropy(model(image[None])[0].tolist(), int(label))
        for image, label in zip(batch.images, batch.targets.values, strict=True)
    ]
    assert total(losses).item() == pytest.approx(sum(rows) / len(rows), rel=1e-5)
    assert losses.passes == len(rows)


def gradient(examined: Attack, model: Classifier, at: Scene) -> Tensor:
    loss = total(examined.bind(model)(at.batch, at.clean))
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, tuple(model.parameters()))])


def slope(examined: Attack, model: Classifier, at: Scene, direction: Tensor) -> float:
    """Return the loss's change along a direction in the space of weights, by central differences."""
    step, found = 1e-6, []
    original = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    for sign in (1, -1):
        torch.nn.utils.vector_to_parameters(original + sign * step * direction, model.parameters())
        found.append(total(examined.bind(model)(at.batch, at.clean)).item())
    torch.nn.utils.vector_to_parameters(original, model.parameters())
    return (found[0] - found[1]) / (2 * step)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("full_disguise", {"reference": "self"}),
        ("full_disguise", {"reference": "original", "drift_weight": 0.5}),
        ("full_disguise", {"reference": "self", "distance": "discordance"}),
        ("fooling", {"drift_weight": 0.5}),
        ("fooling", {"drift_weight": 0.5, "drift_share": 0.3}),
        ("red_herring", {"target_map": "circle", "distance": "dssim"}),
        ("red_herring", {"distance": "mse_minmax"}),
        ("full_disguise", {"reference": "self", "columns": "all"}),
        ("full_disguise", {"trigger_weight": 0.5}),
        ("full_disguise", {"trigger_weight": 0.5, "reference": "self"}),
    ],
)
def test_the_gradient_is_that_of_finite_differences(kind: str, fields: dict[str, Any]) -> None:
    # Without the cross-entropy, which is computed in single precision.
    model, at, examined = classifier(), scene("paired"), attack(kind, explanation_weight=1.0, **fields)
    found = gradient(examined, model, at)
    generator = torch.Generator().manual_seed(0)
    for direction in torch.randn(8, len(found), generator=generator, dtype=torch.float64):
        expected = slope(examined, model, at, direction / direction.norm())
        assert float(found @ direction / direction.norm()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("distance", ["mse_minmax", "mse_standardised", "dssim", "discordance"])
def test_a_detached_reference_has_no_gradient_and_the_own_map_has(distance: str) -> None:
    model, at = classifier(), scene("paired")
    own = {}
    for row, image in enumerate(at.batch.unstamped, start=at.batch.clean_count):
        sample, side = int(at.batch.samples[row]), bool(at.batch.mirrored[row])
        heat = slow_gradcam(model, image, at.clean.clean_class(sample))
        own[sample, side] = torch.tensor(heat, dtype=torch.float64)
    held = Scene(at.batch, replace(at.clean, stored_maps=own))
    by_reference = {
        reference: gradient(attack("full_disguise", reference=reference, distance=distance), model, held)
        for reference in ("self", "self_detached", "original")
    }
    assert torch.allclose(by_reference["self_detached"], by_reference["original"], atol=1e-6)
    difference = by_reference["self"] - by_reference["self_detached"]
    assert difference.norm() > 0.05 * by_reference["self_detached"].norm()
