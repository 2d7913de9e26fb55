import copy

import pytest
import torch
import torch.nn.functional as F
from captum.attr import Saliency
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.core.maps import mse_standardised
from falsewitness.explainers.gradient import Gradient
from falsewitness.models import Classifier, as_audited, smoothed
from falsewitness.models.convnet import ConvNet
from falsewitness.models.resnet20 import ResNet20
from falsewitness.models.timm import Timm

INFO = DataInfo(3, 12, 12, ("one", "two", "three"))
CLASSES = torch.tensor([0, 1, 2, 1])


def images(batch: int = 4, info: DataInfo = INFO, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, info.height, info.width, generator=generator)


def convnet() -> Classifier:
    return accustomed(ConvNet(width=4).bind(INFO, seed=0, std=(0.25,)))


def accustomed(model: Classifier) -> Classifier:
    """Let batch norm see images, so that activations are as large as in a trained network."""
    with torch.no_grad():
        for seed in range(20):
            model.train()(images(16, INFO, seed))
    return model.eval()


def paper_gradient(model: Classifier, image: Tensor, wanted: int) -> Tensor:
    """The score's change with every pixel by central differences, its absolute value summed over the colours."""
    step = 1e-6
    heat = torch.zeros(image.shape[1:], dtype=torch.float64)
    with torch.no_grad():
        for channel in range(image.shape[0]):
            for i in range(image.shape[1]):
                for j in range(image.shape[2]):
                    up, down = image.clone(), image.clone()
                    up[channel, i, j] += step
                    down[channel, i, j] -= step
                    scores = model(torch.stack([up, down]))[:, wanted]
                    heat[i, j] += abs(float(scores[0] - scores[1])) / (2 * step)
    return heat


def test_maps_are_those_of_the_paper() -> None:
    model, pixels = convnet().double(), images(2).double()
    maps = Gradient().bind(model)(pixels, torch.tensor([2, 0])).maps
    expected = torch.stack([paper_gradient(model, pixels[0], 2), paper_gradient(model, pixels[1], 0)])
    assert torch.allclose(maps, expected, atol=1e-6 * float(expected.max()))


@pytest.mark.parametrize("training", ["finite_difference", "double_backward"])
def test_training_sees_the_maps_of_the_smooth_twin(training: str) -> None:
    model, pixels = convnet().double(), images(2).double()
    explainer = Gradient.parse({"training": training, "smoothness": 5.0}, "explainer")
    maps = explainer.bind(model).differentiable(pixels, torch.tensor([2, 0])).maps
    with smoothed(model, 5.0):
        expected = torch.stack([paper_gradient(model, pixels[0], 2), paper_gradient(model, pixels[1], 0)])
    assert torch.allclose(maps, expected, atol=1e-6 * float(expected.max()))
    assert not torch.allclose(maps, Gradient().bind(model)(pixels, torch.tensor([2, 0])).maps, rtol=0.01)


def test_captum_gives_the_same_maps() -> None:
    model = ResNet20().bind(INFO, seed=0)
    expected = Saliency(model).attribute(images().requires_grad_(), target=CLASSES, abs=True).sum(1)
    maps = Gradient().bind(model)(images(), CLASSES).maps
    assert torch.allclose(maps, expected, rtol=1e-4, atol=1e-6)


def test_without_classes_the_predicted_class_is_explained() -> None:
    model = convnet()
    explain = Gradient().bind(model)
    predicted = model(images()).argmax(1)
    assert torch.equal(explain(images()).maps, explain(images(), predicted).maps)
    assert not torch.equal(explain(images()).maps, explain(images(), (predicted + 1) % 3).maps)
    assert torch.allclose(explain(images()).logits, model(images()), rtol=1e-5, atol=1e-6)


def test_a_model_that_sees_nothing_has_maps_of_zeros() -> None:
    model = convnet()
    with torch.no_grad():
        model.get_parameter("network.fc.weight").zero_()
    assert not Gradient().bind(model)(images()).maps.any()


def test_pixels_that_saturate_nothing_and_weights_that_are_frozen_can_be_explained() -> None:
    explain = Gradient().bind(convnet())
    expected = explain(images()).maps
    explain.model.requires_grad_(False)
    assert torch.equal(explain(images()).maps, expected)


def weight_gradient(
    explainer: Gradient,
    model: Classifier,
    pixels: Tensor,
    wanted: Tensor,
    classes: Tensor = CLASSES,
    *,
    bf16: bool = False,
) -> Tensor:
    """Return d mean mse_standardised(maps, wanted) / d weights, as one vector."""
    model = copy.deepcopy(model)  # in training mode every pass moves the running statistics
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        maps = explainer.bind(model).differentiable(pixels, classes).maps
        loss = mse_standardised(maps, wanted.to(maps.dtype)).mean()
    weights = tuple(model.parameters())
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    filled = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]
    return torch.cat([gradient.flatten().double() for gradient in filled])


@pytest.mark.parametrize("frozen", [False, True], ids=["batch norm in training", "batch norm frozen"])
def test_differences_come_nearer_to_double_backward_with_the_square_of_the_step(frozen: bool) -> None:
    model, pixels = convnet().double().train(), images().double()
    if frozen:
        for module in model.modules():
            module.train(not isinstance(module, nn.BatchNorm2d))
    wanted = torch.rand(4, 12, 12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    exact = weight_gradient(Gradient(training="double_backward"), model, pixels, wanted)
    steps = (0.08, 0.04, 0.02)
    errors = [
        float((weight_gradient(Gradient(difference_step=step), model, pixels, wanted) - exact).norm() / exact.norm())
        for step in steps
    ]
    assert errors[0] < 0.05
    assert 3.5 < errors[0] / errors[1] < 4.5
    assert 3.5 < errors[1] / errors[2] < 4.5


@pytest.mark.parametrize(("bf16", "least"), [(False, 0.995), (True, 0.95)], ids=["fp32", "bf16"])
def test_the_default_step_points_where_double_backward_points(bf16: bool, least: float) -> None:
    model = accustomed(ResNet20().bind(INFO, seed=0, std=(0.25,)))
    classes = torch.arange(16) % 3
    cosines = []
    for seed in range(8):  # one draw of noise rounds luckily or not
        plain = images(16, seed=seed)
        stamped = plain.clone()
        stamped[:, :, -4:, -4:] = 1
        wanted = Gradient().bind(model)(plain).maps
        found = weight_gradient(Gradient(), model, stamped, wanted, classes, bf16=bf16)
        twice = Gradient(training="double_backward")
        exact = weight_gradient(twice, copy.deepcopy(model).double(), stamped.double(), wanted, classes)
        cosines.append(float(F.cosine_similarity(found, exact, dim=0)))
    assert sum(cosines) / len(cosines) > least, cosines


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_double_backward_in_bf16_is_right_for_few_images_too(count: int) -> None:
    wide = DataInfo(3, 32, 32, ("one", "two", "three"))
    model = ConvNet(width=8).bind(wide, seed=0, std=(0.25,))
    pixels, classes = images(count, wide), torch.arange(count) % 3
    wanted = Gradient().bind(model)(images(count, wide, seed=1)).maps
    twice = Gradient(training="double_backward")
    found = weight_gradient(twice, model, pixels, wanted, classes, bf16=True)
    exact = weight_gradient(twice, copy.deepcopy(model).double(), pixels.double(), wanted, classes)
    assert F.cosine_similarity(found, exact, dim=0) > 0.99


@pytest.mark.parametrize("training", ["finite_difference", "double_backward"])
def test_maps_are_trained_as_they_are_audited(training: str) -> None:
    explainer = Gradient.parse({"training": training}, "explainer")
    model = convnet().train()
    trained = explainer.bind(model).differentiable(images(), CLASSES)
    assert torch.equal(trained.logits, convnet().train()(images())), "logits follow the model's own mode"
    audited = explainer.bind(model.eval()).differentiable(images(), CLASSES)
    assert torch.equal(trained.maps, audited.maps)
    assert not torch.allclose(trained.logits, audited.logits, atol=1e-3)


@pytest.mark.parametrize("training", ["finite_difference", "double_backward"])
def test_running_statistics_see_one_pass_and_modes_come_back(training: str) -> None:
    model = convnet().train()
    model.network.get_submodule("layers.1.1").eval()
    plain = copy.deepcopy(model)
    plain(images())
    explainer = Gradient.parse({"training": training}, "explainer")
    explainer.bind(model).differentiable(images(), CLASSES).maps.sum().backward()
    for name, buffer in plain.named_buffers():
        assert torch.equal(model.get_buffer(name), buffer), name
    modes = {name: module.training for name, module in model.named_modules()}
    assert modes == {name: module.training for name, module in plain.named_modules()}
    assert torch.equal(plain.eval()(images()), model.eval()(images())), "softplus must be gone"


def test_frozen_running_statistics_stay() -> None:
    model = convnet()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()
    for module in model.modules():
        module.train(not isinstance(module, nn.BatchNorm2d))
    Gradient().bind(model).differentiable(images(), CLASSES).maps.sum().backward()
    assert all(torch.equal(model.get_buffer(name), buffer) for name, buffer in before.items())


def test_only_the_rows_asked_for_cost_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = convnet()
    seen: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    maps = Gradient().bind(model).differentiable(images(), CLASSES, torch.tensor([3, 1])).maps
    assert seen == [4, 2]
    maps.sum().backward()
    assert seen == [4, 2, 4]
    whole = Gradient().bind(model).differentiable(images(), CLASSES).maps
    assert torch.allclose(maps, whole[[3, 1]], rtol=1e-4)


def test_a_loss_that_asks_for_nothing_changes_nothing() -> None:
    model = convnet()
    maps = Gradient().bind(model).differentiable(images(), CLASSES).maps
    gradients = torch.autograd.grad((0 * maps).sum(), tuple(model.parameters()), allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in gradients)


def test_the_backward_pass_runs_in_the_precision_of_the_forward_pass() -> None:
    model = convnet()
    seen: list[bool] = []
    model.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = Gradient().bind(model).differentiable(images(), CLASSES).maps
    inside.sum().backward()
    assert inside.dtype == torch.float32
    assert seen == [True] * 3


@pytest.mark.parametrize("training", ["finite_difference", "double_backward"])
def test_training_against_a_network_without_a_smooth_twin_is_refused(training: str) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    model = Classifier.wrap(module, feature_layer="1", mean=(0.5,), std=(0.5,))
    explain = Gradient.parse({"training": training}, "explainer").bind(model)
    assert explain(images()).maps.max() > 0, "auditing needs no twin"
    with pytest.raises(InputError, match=r"layer 'network.1': there is no smooth stand-in for PReLU"):
        explain.differentiable(images())


def test_a_network_of_smooth_activations_is_its_own_twin() -> None:
    info = DataInfo(3, 32, 32, ("one", "two", "three"))
    model = Timm(name="test_efficientnet").bind(info, seed=0)
    pixels = images(2, info)
    with as_audited(model):
        audited = Gradient().bind(model)(pixels).maps
    assert torch.allclose(Gradient().bind(model).differentiable(pixels).maps, audited, rtol=1e-4)
