"""Every architecture through one contract; a new one without required fields is picked up by itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from falsewitness.core import DataInfo
from falsewitness.models import MODELS, Architecture, Classifier, load_classifier, save_classifier

REQUIRED_FIELDS: dict[str, dict[str, Any]] = {"timm": {"name": "test_resnet"}}
CLASSES = ("one", "two", "three", "four")
IMAGES = [(1, 28), (3, 28), (1, 32), (3, 32), (1, 64), (3, 64)]


@pytest.fixture(params=MODELS.kinds())
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return MODELS.get(request.param)(**REQUIRED_FIELDS.get(request.param, {}))


@pytest.fixture(params=IMAGES, ids=lambda case: f"{case[0]}x{case[1]}x{case[1]}")
def info(request: pytest.FixtureRequest) -> DataInfo:
    channels, size = request.param
    return DataInfo(channels, size, size, CLASSES)


SMALL = DataInfo(3, 32, 32, CLASSES)


def noise(info: DataInfo, batch: int = 2) -> Tensor:
    return torch.rand(batch, info.channels, info.height, info.width, generator=torch.Generator().manual_seed(0))


def bound(architecture: Architecture, info: DataInfo = SMALL, seed: int = 1) -> Classifier:
    mean, std = (0.3, 0.4, 0.5)[: info.channels], (0.2, 0.3, 0.4)[: info.channels]
    return architecture.bind(info, seed=seed, mean=mean, std=std)


def test_features_then_head_are_the_forward_pass(architecture: Architecture, info: DataInfo) -> None:
    model, images = bound(architecture, info), noise(info)
    features = model.features(images)
    logits = model(images)
    assert features.ndim == 4
    assert len(features) == len(images)
    assert logits.shape == (len(images), len(CLASSES))
    assert logits.isfinite().all()
    assert torch.equal(model.head(features), logits)


def test_the_network_by_itself_agrees(architecture: Architecture) -> None:
    model, images = bound(architecture), noise(SMALL)
    assert torch.equal(model.network(model.normalised(images)), model(images))


def test_the_linear_head_where_there_is_one_gives_the_logits(architecture: Architecture, info: DataInfo) -> None:
    model, images = bound(architecture, info), noise(info)
    if (head := model.linear_head) is None:
        pytest.skip("the head is not average pooling and one linear layer")
    features = model.features(images).double()
    closed_form = features.mean((2, 3)) @ head.weight.double().T + head.bias.double()
    assert torch.allclose(closed_form, model(images).double(), atol=1e-4)


def test_rows_do_not_see_each_other_in_evaluation(architecture: Architecture) -> None:
    model, images = bound(architecture), noise(SMALL)
    assert torch.allclose(model(images[:1]), model(images)[:1], atol=1e-5)


def test_a_seed_decides_the_weights(architecture: Architecture) -> None:
    first, again, other = (bound(architecture, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_binding_leaves_torch_s_random_numbers_alone(architecture: Architecture) -> None:
    before = torch.get_rng_state()
    bound(architecture)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_trains_every_weight_and_evaluates_again(architecture: Architecture) -> None:
    model, images = bound(architecture), noise(SMALL)
    model.train()(images).square().sum().backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert without == []
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)
    model.eval()
    assert torch.equal(model(images), model(images))


def test_nothing_in_it_works_in_place(architecture: Architecture) -> None:
    assert not any(getattr(module, "inplace", False) for module in bound(architecture).modules())


def test_a_file_gives_the_same_classifier(architecture: Architecture, info: DataInfo, tmp_path: Path) -> None:
    model, images = bound(architecture, info), noise(info)
    with torch.no_grad():  # running statistics that are not those of a fresh start
        model.train()(images)
    model.eval()
    save_classifier(model, tmp_path / "model.safetensors")
    loaded = load_classifier(tmp_path / "model.safetensors")
    assert torch.equal(loaded(images), model(images))
    assert loaded.architecture == architecture
    assert loaded.info == info


def test_every_layer_name_is_one_of_its_modules(architecture: Architecture) -> None:
    model = bound(architecture)
    assert set(model.layer_names()) == {name for name, _ in model.network.named_modules() if name}


def test_plain_data_gives_an_equal_architecture(architecture: Architecture) -> None:
    assert type(architecture).parse(architecture.plain(), "model") == architecture


def test_it_names_its_source(architecture: Architecture) -> None:
    assert architecture.source
    assert type(architecture).__doc__
