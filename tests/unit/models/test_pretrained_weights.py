from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from falsewitness.core import DataInfo, InputError, SpecError
from falsewitness.models import Classifier, save_classifier
from falsewitness.models._weights import load_weights
from falsewitness.models.convnet import ConvNet
from falsewitness.models.timm import Timm

INFO = DataInfo(3, 8, 8, ("one", "two", "three"))
MORE_CLASSES = DataInfo(3, 8, 8, ("one", "two", "three", "four"))


def trained() -> Classifier:
    return ConvNet(width=2).bind(INFO, seed=1, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_file(trained().network.state_dict(), path)
    return path


def test_training_starts_from_the_weights_of_a_file(weights: Path) -> None:
    model = ConvNet(width=2, pretrained=weights).bind(INFO, seed=2, mean=(0.7,), std=(0.8,))
    for name, tensor in trained().network.state_dict().items():
        assert torch.equal(model.network.state_dict()[name], tensor)
    assert model.mean.flatten().tolist() == pytest.approx([0.7]), "bare weights do not say what they were trained on"


def test_a_saved_classifier_brings_its_normalisation(tmp_path: Path) -> None:
    save_classifier(trained(), tmp_path / "model.safetensors")
    architecture = ConvNet(width=2, pretrained=tmp_path / "model.safetensors")
    model = architecture.bind(INFO, seed=2, mean=(0.7,), std=(0.8,))
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(model(images), trained()(images))


def test_the_last_layer_starts_afresh_for_another_number_of_classes(weights: Path) -> None:
    model = ConvNet(width=2, pretrained=weights).bind(MORE_CLASSES, seed=2)
    fresh = ConvNet(width=2).bind(MORE_CLASSES, seed=2)
    state, old, new = (m.network.state_dict() for m in (model, trained(), fresh))
    for name, tensor in state.items():
        assert torch.equal(tensor, new[name] if name.startswith("fc.") else old[name])


def test_a_network_of_timm_takes_weights_the_same_way(tmp_path: Path) -> None:
    info = DataInfo(1, 32, 32, ("one", "two"))
    old = Timm(name="test_resnet").bind(info, seed=0)
    save_file(old.network.state_dict(), tmp_path / "weights.safetensors")
    model = Timm(name="test_resnet", pretrained=tmp_path / "weights.safetensors").bind(info, seed=1)
    images = torch.rand(2, 1, 32, 32)
    assert torch.equal(model(images), old(images))


def changed(**changes: Tensor | None) -> dict[str, Tensor]:
    state = trained().network.state_dict() | {k.replace("__", "."): v for k, v in changes.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (changed(layers__0__0__weight=None), "it lacks layers.0.0.weight"),
        (changed(fc__weight=None), "it lacks fc.weight"),
        (changed(head=torch.ones(1)), "it has the unexpected head"),
        (
            changed(layers__0__0__weight=torch.ones(2, 1, 3, 3)),
            r"expected layers.0.0.weight of shape \(2, 3, 3, 3\)",
        ),
        (changed(fc__weight=torch.ones(3, 7)), r"expected fc.weight of shape \(3, 8\), got \(3, 7\)"),
        (changed(fc__weight=torch.ones(4, 7)), r"expected fc.weight of shape \(3, 8\), got \(4, 7\)"),
        (changed(fc__bias=torch.ones(3).double()), "expected fc.bias as F32, got F64"),
        (changed(fc__bias=torch.full((3,), torch.nan)), "expected finite values in fc.bias"),
        (changed(fc__bias=torch.full((3,), 3e38), fc__weight=torch.full((3, 8), 3e38)), "infinity for an image"),
        (
            changed(layers__0__1__running_var=torch.tensor([1.0, -0.5])),
            r"variances of at least 0 in layers\.0\.1\.running_var, got -0\.5",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, tensors: dict[str, Tensor], message: str) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    with pytest.raises(InputError, match=message) as caught:
        ConvNet(width=2, pretrained=path).bind(INFO, seed=0)
    assert str(path) in str(caught.value)


def test_a_network_is_left_alone_when_weights_do_not_fit(tmp_path: Path) -> None:
    save_file(changed(fc__bias=torch.full((3,), torch.nan)), tmp_path / "weights.safetensors")
    network = ConvNet(width=2).bind(INFO, seed=2).network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError):
        load_weights(network, tmp_path / "weights.safetensors", INFO.channels)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    torch.save(trained().network.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="pickles are never loaded"):
        ConvNet(width=2, pretrained=tmp_path / "weights.pt").bind(INFO, seed=0)


@pytest.mark.parametrize("given", [None, "hub", "some/weights.safetensors"])
def test_pretrained_survives_a_round_trip(given: str | None) -> None:
    architecture = ConvNet.parse({"pretrained": given}, "model")
    assert ConvNet.parse(architecture.plain(), "model") == architecture
    assert architecture.plain()["pretrained"] == given


def test_only_a_path_is_a_file_that_the_architecture_names() -> None:
    assert ConvNet.parse({"pretrained": "some/weights.safetensors"}, "model").files() == (
        Path("some/weights.safetensors"),
    )
    assert ConvNet.parse({"pretrained": "hub"}, "model").files() == ()


@pytest.mark.parametrize("given", [True, 3, ["hub"]])
def test_pretrained_takes_nothing_else(given: Any) -> None:  # noqa: ANN401
    with pytest.raises(SpecError, match="pretrained: expected 'hub', the path of a safetensors file or null, got"):
        ConvNet.parse({"pretrained": given}, "model")
