from collections.abc import Iterator

import pytest
import torch
from captum.attr import DeepLiftShap
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.explainers.deep_shap import DeepShap
from falsewitness.models import Architecture, Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.models.efficientnet_b0 import EfficientNetB0
from falsewitness.models.resnet18 import ResNet18
from falsewitness.models.resnet20 import ResNet20

INFO = DataInfo(3, 16, 16, ("one", "two", "three"))
LARGE = DataInfo(3, 65, 65, ("one", "two", "three"))
CLASSES = torch.tensor([2, 0])


@pytest.fixture(autouse=True)
def _random_numbers_stay_as_they_were() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def images(batch: int, info: DataInfo = INFO, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(batch, info.channels, info.height, info.width, generator=random, dtype=torch.float64)


def background(info: DataInfo = INFO) -> Tensor:
    return images(4, info, seed=1)


def trained(architecture: Architecture, info: DataInfo = INFO) -> Classifier:
    """Return a classifier whose batch norms have statistics and biases unlike those at the start."""
    model = architecture.bind(info, seed=0, mean=(0.4,), std=(0.3,)).double()
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.bias, -0.5, 0.5)
        assert norm.running_mean is not None
        norm.running_mean.uniform_(-0.5, 0.5)
    return model.eval()


class Pooled(nn.Module):
    """Batch norm that cannot be folded, and max pooling."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.first, self.relu1, self.pool = nn.Conv2d(3, 4, 3), nn.ReLU(), pool
        self.norm, self.second, self.relu2 = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.ReLU()
        self.mean, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu2(self.second(self.norm(self.pool(self.relu1(self.first(x))))))
        logits: Tensor = self.fc(self.mean(x).flatten(1))
        return logits


APART, OVERLAPPING = (2, 2, 0), (3, 2, 1)


def pooled(form: tuple[int, int, int]) -> Classifier:
    return wrapped(Pooled(nn.MaxPool2d(*form)), "first")


def wrapped(network: nn.Module, feature_layer: str = "0", mean: float = 0.4, std: float = 0.3) -> Classifier:
    return Classifier.wrap(network.double().eval(), feature_layer=feature_layer, mean=(mean,), std=(std,)).double()


def test_a_small_network_is_explained_as_by_hand() -> None:
    # First channel: x1 - x2 - 0.25, which goes from -0.25 to 0.25, so its ReLU from 0 to 0.25: a slope of 0.5. Second
    # channel: x1 + x2, from 0 to 1.5: a slope of 1. Multipliers: 4 * 0.5 + 2 = 4 for x1, 4 * -0.5 + 2 = 0 for x2.
    network = nn.Sequential(nn.Conv2d(1, 2, (1, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1, bias=False))
    for tensor, values in (
        (network[0].weight, [1.0, -1.0, 1.0, 1.0]),
        (network[0].bias, [-0.25, 0.0]),
        (network[3].weight, [4.0, 2.0]),
    ):
        assert isinstance(tensor, Tensor)
        tensor.data.copy_(torch.tensor(values).view(tensor.shape))
    explain = DeepShap(background=1).bind(
        wrapped(network, mean=0.0, std=1.0), background=torch.zeros(1, 1, 1, 2, dtype=torch.float64)
    )
    logits, maps = explain(torch.tensor([[[[1.0, 0.5]]]], dtype=torch.float64))
    assert float(logits) == 4
    assert maps.tolist() == [[[4.0, 0.0]]]


@pytest.mark.parametrize(("change", "expected"), [([0.5, 0.5], [0.0, 0.0]), ([0.75, 0.25], [0.75, -0.25])])
def test_a_unit_at_its_threshold_with_image_and_reference_has_no_slope(
    change: list[float], expected: list[float]
) -> None:
    """The unit is x1 - x2: with the first change it stays at 0, where ReLU's slope is 0; with the second it rises."""
    network = nn.Sequential(nn.Conv2d(1, 1, (1, 2), bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(1, 1, bias=False))
    for layer, values in ((network[0], [1.0, -1.0]), (network[3], [1.0])):
        assert isinstance(layer.weight, Tensor)
        layer.weight.data.copy_(torch.tensor(values).view(layer.weight.shape))
    start = torch.full((1, 1, 1, 2), 0.25, dtype=torch.float64)
    explain = DeepShap(background=1).bind(wrapped(network, mean=0.0, std=1.0), background=start)
    maps = explain(start + torch.tensor(change).view(1, 1, 1, 2)).maps
    assert maps[0, 0].tolist() == expected


def test_the_largest_of_a_pool_has_the_rise_and_the_largest_of_the_reference_the_fall() -> None:
    """As Shapley values of a maximum would have it, where one input rises or falls alone."""
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.MaxPool2d((1, 2)), nn.Flatten(), nn.Linear(1, 1))
    for layer in (network[0], network[3]):
        assert isinstance(layer.weight, Tensor)
        layer.weight.data.fill_(1)
    model = wrapped(network, mean=0.0, std=1.0)
    for image, reference, expected in (
        ([0.9, 0.5], [0.2, 0.4], [0.5, 0.0]),
        ([0.1, 0.3], [0.0, 0.8], [0.0, -0.5]),
        ([0.1, 0.3], [0.8, 0.3], [-0.5, 0.0]),
    ):
        start = torch.tensor(reference, dtype=torch.float64).view(1, 1, 1, 2)
        pixels = torch.tensor(image, dtype=torch.float64).view(1, 1, 1, 2)
        maps = DeepShap(background=1).bind(model, background=start)(pixels).maps
        assert maps[0, 0].tolist() == pytest.approx(expected)


MODELS = {
    "convnet": lambda: trained(ConvNet(width=4)),
    "resnet20": lambda: trained(ResNet20()),
    "max pooling, windows apart": lambda: pooled(APART),
    "max pooling, windows that overlap": lambda: pooled(OVERLAPPING),
    "resnet18 for large images": lambda: trained(ResNet18(), LARGE),
}


@pytest.mark.parametrize("case", MODELS)
def test_maps_add_up_to_what_the_image_has_more_than_the_background(case: str) -> None:
    info = LARGE if "large" in case else INFO
    model, pixels, others = MODELS[case](), images(2, info), background(info)
    logits, maps = DeepShap(background=4).bind(model, background=others)(pixels, CLASSES)
    with torch.no_grad():
        expected = logits[torch.arange(2), CLASSES] - model(others).mean(0)[CLASSES]
    assert torch.allclose(maps.sum((1, 2)), expected, rtol=1e-9)
    assert (maps.abs().sum((1, 2)) > 0).all()


@pytest.mark.parametrize("case", ["convnet", "resnet20"])
def test_captum_gives_the_same_maps(case: str) -> None:
    model, pixels = MODELS[case](), images(2)
    maps = DeepShap(background=4).bind(model, background=background())(pixels, CLASSES).maps
    with pytest.warns(UserWarning, match="Setting forward, backward hooks"):
        expected = DeepLiftShap(model).attribute(pixels, background(), target=CLASSES).sum(1)
    assert torch.allclose(maps, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", [APART, OVERLAPPING])
def test_captum_does_not_add_up_with_max_pooling(form: tuple[int, int, int]) -> None:
    model, pixels = pooled(form), images(2)
    maps = DeepShap(background=4).bind(model, background=background())(pixels, CLASSES).maps
    with pytest.warns(UserWarning, match="Setting forward, backward hooks"):
        theirs = DeepLiftShap(model).attribute(pixels, background(), target=CLASSES).sum(1)
    assert ((theirs.sum((1, 2)) - maps.sum((1, 2))).abs() > 0.1 * maps.sum((1, 2)).abs()).all()


@pytest.mark.parametrize("form", [APART, OVERLAPPING])
def test_shap_gives_the_same_maps_unless_windows_overlap(form: tuple[int, int, int]) -> None:
    """Where they do, shap forgets all windows but one of those with the same largest pixel, and does not add up."""
    shap = pytest.importorskip("shap")
    model, pixels = pooled(form), images(2)
    columns = DeepShap(background=4).bind(model, background=background()).columns(pixels).maps
    explainer = shap.DeepExplainer(model.network, model.normalised(background()))
    values = explainer.shap_values(model.normalised(pixels), check_additivity=False)
    theirs = torch.as_tensor(values).sum(1).permute(0, 3, 1, 2)
    difference = float((theirs - columns).norm() / columns.norm())
    assert difference < 1e-9 if form == APART else difference > 0.1


def test_a_pixel_that_no_weight_reads_has_no_part() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
    maps = DeepShap(background=4).bind(wrapped(network), background=background())(images(2)).maps
    is_read = torch.zeros(16, 16, dtype=torch.bool)
    is_read[::2, ::2] = True
    assert (maps[:, ~is_read] == 0).all()
    assert (maps[:, is_read] != 0).all()


def test_an_image_compared_with_itself_has_a_map_of_zeros() -> None:
    pixels = images(1)
    assert (DeepShap(background=1).bind(pooled(OVERLAPPING), background=pixels)(pixels).maps == 0).all()


def test_the_background_counts_by_its_mean_map() -> None:
    model, pixels = trained(ConvNet(width=4)), images(2)
    whole = DeepShap(background=4).bind(model, background=background())(pixels, CLASSES).maps
    single = [
        DeepShap(background=1).bind(model, background=image[None])(pixels, CLASSES).maps for image in background()
    ]
    assert torch.allclose(whole, torch.stack(single).mean(0), rtol=1e-9, atol=1e-12)


def test_what_has_no_rule_is_refused_when_it_is_bound() -> None:
    with pytest.raises(InputError, match=r"'deep_shap' has no rule for layer '1' \(SiLU\): expected convolutions"):
        DeepShap().bind(wrapped(nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU())), background=background())
    with pytest.raises(InputError, match=r"no rule for layer 'bn1' \(BatchNormAct2d\)"):
        DeepShap().bind(EfficientNetB0().bind(INFO, seed=0), background=background())


def test_without_a_background_it_is_refused() -> None:
    with pytest.raises(InputError, match="expected a background set, got none"):
        DeepShap().bind(trained(ConvNet(width=4)))
