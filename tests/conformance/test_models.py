"""Every architecture through one contract; a new one without required fields is picked up by itself."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from falsewitness.conformance import check_component
from falsewitness.core import DataInfo
from falsewitness.models import MODELS, Architecture, load_classifier, save_classifier
from falsewitness.models.timm import Timm

REQUIRED_FIELDS: dict[str, dict[str, Any]] = {"timm": {"name": "test_resnet"}}
CLASSES = ("one", "two", "three", "four")
IMAGES = [(1, 28), (3, 28), (1, 32), (3, 32), (1, 64), (3, 64)]


@pytest.fixture(params=MODELS.kinds())
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return MODELS.get(request.param)(**REQUIRED_FIELDS.get(request.param, {}))


@pytest.fixture(params=[*MODELS.kinds(), "transformer"])
def any_architecture(request: pytest.FixtureRequest) -> Architecture:
    if request.param == "transformer":
        return Timm(name="test_vit", patch_size=4)
    return MODELS.get(request.param)(**REQUIRED_FIELDS.get(request.param, {}))


def noise(info: DataInfo) -> Tensor:
    return torch.rand(2, info.channels, info.height, info.width, generator=torch.Generator().manual_seed(0))


def test_it_keeps_the_contract(architecture: Architecture) -> None:
    check_component(architecture)


@pytest.mark.parametrize(("channels", "size"), IMAGES)
def test_it_takes_images_of_ordinary_sizes_and_comes_back_from_a_file(
    any_architecture: Architecture, channels: int, size: int, tmp_path: Path
) -> None:
    info = DataInfo(channels, size, size, CLASSES)
    model = any_architecture.bind(info, seed=1, mean=(0.3, 0.4, 0.5)[:channels], std=(0.2, 0.3, 0.4)[:channels])
    with torch.no_grad():  # running statistics that are not those of a fresh start
        model.train()(noise(info))
        logits = model.eval()(noise(info))
    assert logits.shape == (2, len(CLASSES))
    assert logits.isfinite().all()
    save_classifier(model, tmp_path / "model.safetensors")
    loaded = load_classifier(tmp_path / "model.safetensors")
    assert torch.equal(loaded(noise(info)), logits)
    assert loaded.architecture == any_architecture
    assert loaded.info == info


def test_every_layer_name_is_one_of_its_modules(any_architecture: Architecture) -> None:
    model = any_architecture.bind(DataInfo(3, 32, 32, CLASSES), seed=1)
    assert set(model.layer_names()) == {name for name, _ in model.network.named_modules() if name}
