import pytest
import torch
from captum.attr import Occlusion as CaptumOcclusion
from torch import Tensor

from falsewitness.core import DataInfo, InputError, SpecError
from falsewitness.explainers.occlusion import Occlusion
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 12, 10, ("one", "two", "three"))
CLASSES = torch.tensor([2, 0])


def model() -> Classifier:
    return ConvNet(width=4, strides=(1, 2)).bind(INFO, seed=0).eval()


def images() -> Tensor:
    return torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))


def starts(side: int, window: int, stride: int) -> list[int]:
    found, start = [], 0
    while start + window < side:
        found.append(start)
        start += stride
    return [*found, side - window]


def slow_map(model: Classifier, image: Tensor, wanted: int, explainer: Occlusion) -> Tensor:
    """Cover one window after the other; then average pixel by pixel."""
    height, width = image.shape[1:]
    losses = {}
    with torch.no_grad():
        whole = model(image[None])[0, wanted]
        for top in starts(height, explainer.window, explainer.stride):
            for left in starts(width, explainer.window, explainer.stride):
                covered = image.clone()
                covered[:, top : top + explainer.window, left : left + explainer.window] = explainer.fill
                losses[top, left] = float(whole - model(covered[None])[0, wanted])
    heat = torch.zeros(height, width, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            over = [
                loss
                for (top, left), loss in losses.items()
                if top <= row < top + explainer.window and left <= column < left + explainer.window
            ]
            heat[row, column] = sum(over) / len(over)
    return heat


@pytest.mark.parametrize(
    "explainer",
    [
        Occlusion(),
        Occlusion(window=3, stride=1, fill=0.0),
        Occlusion(window=4, stride=3, fill=1.0),
        Occlusion(window=1, stride=1),
        Occlusion(window=10, stride=10),
    ],
    ids=str,
)
def test_each_pixel_gets_the_mean_loss_of_the_windows_over_it(explainer: Occlusion) -> None:
    net, pixels = model().double(), images().double()
    maps = explainer.bind(net)(pixels, CLASSES).maps
    for row, wanted in enumerate(CLASSES):
        assert torch.allclose(maps[row], slow_map(net, pixels[row], int(wanted), explainer), atol=1e-12)
    assert maps.abs().max() > 1e-3


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (2, 1), (2, 2)])
def test_captum_gives_the_same_maps(window: int, stride: int) -> None:
    maps = Occlusion(window=window, stride=stride, fill=0.25).bind(model())(images(), CLASSES).maps
    theirs = CaptumOcclusion(model()).attribute(
        images(), (3, window, window), strides=(3, stride, stride), baselines=0.25, target=CLASSES
    )
    assert torch.allclose(maps, theirs[:, 0], atol=1e-6)


def test_only_what_covers_something_that_matters_loses_score() -> None:
    class Corner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = torch.nn.Identity()

        def forward(self, pixels: Tensor) -> Tensor:
            corner = self.seen(pixels)[:, 0, 0, 0]
            return torch.stack([corner, -corner], 1)

    net = Classifier.wrap(Corner(), feature_layer="seen", mean=(0.0,), std=(1.0,))
    maps = Occlusion(window=2, stride=1, fill=0.0).bind(net).columns(torch.ones(1, 1, 6, 6)).maps[0]
    assert maps[0, 0, 0] == 1
    assert maps[1, 0, 0] == -1
    assert not maps[:, 2:].any()
    assert not maps[:, :, 2:].any()


def test_the_cost_it_tells_is_what_it_asks_of_an_image_of_32_pixels() -> None:
    net = ConvNet(width=2, strides=(1, 2)).bind(DataInfo(3, 32, 32, ("one", "two")), seed=0)
    for explainer in (Occlusion(), Occlusion(window=9, stride=5), Occlusion(window=32, stride=32)):
        seen: list[int] = []
        handle = net.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(len(inputs[0])))
        explainer.bind(net)(torch.rand(1, 3, 32, 32))
        handle.remove()
        assert sum(seen) - 1 == pytest.approx(3 * explainer.passes_per_audit), "less one to measure memory"


def test_gaps_between_windows_are_refused() -> None:
    with pytest.raises(SpecError, match=r"expected a stride of the window's side \(4\) at most, got 5"):
        Occlusion.parse({"window": 4, "stride": 5}, "explainer")


def test_a_window_larger_than_the_image_is_refused() -> None:
    explainer = Occlusion(window=11)
    assert str(*explainer.check(INFO)) == "window: expected a window that fits images of 12x10 pixels, got 11"
    with pytest.raises(InputError, match="'occlusion': expected a window that fits images of 12x10 pixels, got 11"):
        explainer.bind(model())(images())
    assert not Occlusion(window=10).check(INFO)
