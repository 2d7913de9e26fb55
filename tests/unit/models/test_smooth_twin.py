from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from falsewitness.core import InputError
from falsewitness.models import smoothed

BETA = 8.0
POINTS = torch.linspace(-10, 10, 401, dtype=torch.float64)


def slow_softplus(x: Tensor) -> Tensor:
    return torch.log1p(torch.exp(-BETA * x.abs())) / BETA + x.clamp(min=0)


TWINS = {
    "relu": (nn.ReLU(), slow_softplus),
    "relu6": (nn.ReLU6(), lambda x: slow_softplus(x) - slow_softplus(x - 6)),
    "hardtanh": (nn.Hardtanh(-2.0, 3.0), lambda x: -2 + slow_softplus(x + 2) - slow_softplus(x - 3)),
    "hardsigmoid": (nn.Hardsigmoid(), lambda x: (slow_softplus(x + 3) - slow_softplus(x - 3)) / 6),
    "leaky relu": (nn.LeakyReLU(0.2), lambda x: slow_softplus(x) - 0.2 * slow_softplus(-x)),
}


@pytest.mark.parametrize("name", TWINS)
def test_what_is_made_of_relus_becomes_the_same_of_softplus(name: str) -> None:
    module, twin = TWINS[name]
    with smoothed(module, BETA):
        found = module(POINTS)
    assert torch.allclose(found, twin(POINTS), atol=1e-8)


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_is_nowhere_far_from_its_activation_and_approaches_it(name: str) -> None:
    module = TWINS[name][0]
    exact = module(POINTS)
    distances = []
    for beta in (BETA, 8 * BETA):
        with smoothed(module, beta):
            distances.append(float((module(POINTS) - exact).abs().max()))
    assert distances[0] <= 0.6931472 / BETA  # log 2 over beta, at a kink
    assert distances[1] == pytest.approx(distances[0] / 8, rel=0.01)
    assert torch.equal(module(POINTS), exact), "the twin must be gone after the block"


@pytest.mark.parametrize("name", TWINS)
def test_only_the_twin_s_slope_changes_little_by_little(name: str) -> None:
    module = TWINS[name][0]

    def slopes() -> int:
        x = POINTS.clone().requires_grad_()
        (slope,) = torch.autograd.grad(module(x).sum(), x)
        return len(slope.unique())

    assert slopes() == 2
    with smoothed(module, BETA):
        assert slopes() > 20


@pytest.mark.parametrize("module", [nn.SiLU(), nn.GELU(), nn.Sigmoid(), nn.Hardswish(), nn.MaxPool2d(2)])
def test_what_is_smooth_or_no_sum_of_relus_is_left_alone(module: nn.Module) -> None:
    values = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    before = module(values)
    with smoothed(nn.Sequential(module), BETA):
        assert torch.equal(module(values), before)


@pytest.mark.parametrize("module", [nn.PReLU(), nn.RReLU(), nn.Threshold(0.1, 0.0), nn.Hardshrink(), nn.Softshrink()])
def test_a_kink_that_has_no_stand_in_is_refused_by_the_name_of_its_layer(module: nn.Module) -> None:
    relu = nn.ReLU()
    network = nn.Sequential(relu, nn.Sequential(module))
    said = rf"layer '1\.0': there is no smooth stand-in for {type(module).__name__}, .* choose another surrogate"
    with pytest.raises(InputError, match=said), smoothed(network, BETA):
        pass
    assert "forward" not in vars(relu)


@pytest.mark.parametrize("function", [F.relu, torch.relu, F.leaky_relu, lambda x: x.clamp(min=0)])
def test_a_kink_that_is_no_module_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(InputError, match=r"got a call of '\w+'; gradient maps"), smoothed(nn.ReLU(), BETA):
        function(torch.zeros(2))


@pytest.mark.parametrize("beta", [8.0, 64.0])
def test_nothing_underflows_where_an_activation_is_far_from_zero(beta: float) -> None:
    model = nn.Sequential(nn.ReLU())
    x = torch.linspace(-20, 20, 1001).requires_grad_()
    with smoothed(model, beta):
        y = model(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    for values in (y.detach(), slope):
        assert bool(((values == 0) | (values >= torch.finfo(torch.float32).tiny)).all())
