"""Classifiers written and read again; files that nobody vouches for."""

import json
import os
import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError, RunFailedError
from falsewitness.models import Classifier, load_classifier, save_classifier
from falsewitness.models._files import KEY
from falsewitness.models.convnet import ConvNet

INFO = DataInfo(3, 8, 10, ("cat", "dog"), multi_label=True)


def small() -> Classifier:
    return ConvNet(width=2, strides=(1, 2)).bind(INFO, seed=5, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_classifier(small(), path)
    return path


def rewritten(path: Path, tensors: dict[str, Tensor] | None = None, **description: object) -> Path:
    """Change a file's tensors, or parts of its description."""
    old = description_of(path)
    save_file(tensors or load_file(path), path, {KEY: json.dumps(old | description)})
    return path


def description_of(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    description: dict[str, Any] = json.loads(header["__metadata__"][KEY])
    return description


def refused(path: Path, message: str) -> str:
    with pytest.raises(InputError, match=message) as caught:
        load_classifier(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_classifier_comes_back_as_it_was(path: Path) -> None:
    model, loaded = small(), load_classifier(path)
    images = torch.rand(4, 3, 8, 10)
    assert torch.equal(loaded(images), model(images))
    assert loaded.info == INFO
    assert loaded.architecture == model.architecture
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_a_classifier_in_channels_last_comes_back_too(tmp_path: Path) -> None:
    model = small().to(memory_format=torch.channels_last)
    save_classifier(model, tmp_path / "model.safetensors")
    images = torch.rand(2, 3, 8, 10)
    assert torch.allclose(load_classifier(tmp_path / "model.safetensors")(images), model(images), atol=1e-6)


def test_one_mean_for_all_channels_comes_back_too(tmp_path: Path) -> None:
    save_classifier(ConvNet(width=2).bind(INFO, seed=0), tmp_path / "model.safetensors")
    assert load_classifier(tmp_path / "model.safetensors").mean.shape == (1, 1, 1, 1)


def test_equal_classifiers_give_equal_files(path: Path, tmp_path: Path) -> None:
    save_classifier(small(), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_saving_replaces_a_file_and_leaves_nothing_else(path: Path) -> None:
    other = ConvNet(width=3).bind(INFO, seed=0)
    save_classifier(other, path)
    assert load_classifier(path).architecture == other.architecture
    assert list(path.parent.iterdir()) == [path]


def test_nothing_that_the_file_names_is_opened(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(small().network.state_dict(), weights)
    architecture = ConvNet(width=2, strides=(1, 2), pretrained=weights)
    save_classifier(architecture.bind(INFO, seed=0), tmp_path / "model.safetensors")
    weights.unlink()
    assert load_classifier(tmp_path / "model.safetensors").architecture == architecture


def test_a_wrapped_module_cannot_be_saved(tmp_path: Path) -> None:
    wrapped = Classifier.wrap(nn.Sequential(nn.Conv2d(3, 2, 1)), feature_layer="0", mean=(0.5,), std=(0.5,), info=INFO)
    with pytest.raises(InputError, match="expected a classifier made from an architecture, got a wrapped module"):
        save_classifier(wrapped, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spoil", [lambda w: w.fill_(torch.nan), lambda w: setattr(w, "data", w.data.double())])
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, spoil: Any) -> None:  # noqa: ANN401
    model = small()
    with torch.no_grad():
        spoil(model.get_parameter("network.fc.weight"))
    with pytest.raises(InputError, match=r"expected finite 32-bit weights .* others in network\.fc\.weight"):
        save_classifier(model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "model.safetensors"
    with pytest.raises(RunFailedError, match=r"model\.safetensors' cannot be written: .*; make room"):
        save_classifier(small(), target)


@contextmanager
def full_disk() -> Iterator[None]:
    # For as short as can be: the limit holds for pytest's own output, too, where that goes to a file.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_file_whole(path: Path) -> None:
    before = path.read_bytes()
    model = ConvNet(width=8).bind(INFO, seed=0)
    with pytest.raises(RunFailedError, match="make room"), full_disk():
        save_classifier(model, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin", ".ckpt", ".safetensors"])
def test_a_pickle_is_never_loaded_whatever_its_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save(small().state_dict(), path)
    message = refused(path, "pickles are never loaded because loading one runs the code in it; convert it")
    assert "\n" not in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "expected a readable safetensors file, got 'No such file or directory'")
    refused(tmp_path, "expected a readable safetensors file, got 'Is a directory'")


def test_a_whole_file_under_a_name_that_is_no_text_is_not_called_damaged(tmp_path: Path) -> None:
    save_classifier(small(), tmp_path / "model.safetensors")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.safetensors"))
    (tmp_path / "model.safetensors").rename(odd)
    with pytest.raises(InputError, match=r"model: expected names in UTF-8, got b'.*m\\xff\.safetensors'; rename it"):
        load_classifier(odd)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got 0 bytes"),
        (b"abc", "got 3 bytes"),
        (struct.pack("<Q", 2**62) + b"{}", f"announce a header of {2**62} bytes"),
        (struct.pack("<Q", 17 * 2**20) + b"{" * 18 * 2**20, "announce a header of 17825792 bytes"),
        (struct.pack("<Q", 2) + b"{]", "expected a whole safetensors file, but"),
        (struct.pack("<Q", 2) + b"\xff\xfe", "expected a whole safetensors file, but"),
        (struct.pack("<Q", 2) + b"{}", "without its description"),
        (b"just some text, long enough for a header", "announce a header"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert "\n" not in refused(path, message)


def test_a_file_cut_short_anywhere_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for length in range(0, len(content), 97):
        path.write_bytes(content[:length])
        refused(path, "expected a")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(data=st.data())
def test_a_spoilt_file_is_refused_or_still_a_classifier(path: Path, data: st.DataObject) -> None:
    content = bytearray(path.read_bytes())
    spoilt = path.with_name("spoilt.safetensors")
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    spoilt.write_bytes(content)
    try:
        model = load_classifier(spoilt)
    except InputError as error:
        assert str(spoilt) in str(error)  # noqa: PT017
    else:
        assert all(tensor.isfinite().all() for tensor in model.state_dict().values())


def test_weights_of_another_program_are_told_from_a_classifier(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(small().network.state_dict(), path, {"format": "pt"})
    refused(path, "without its description; give bare weights to an architecture as `pretrained: PATH`")


def test_a_newer_format_is_refused_with_what_to_do(path: Path) -> None:
    refused(rewritten(path, version=2), "expected format version 1, got 2; install a newer falsewitness")


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"version": "1"}, "version: expected 1, got '1'"),
        ({"architecture": {"kind": "convnt"}}, "there is no kind 'convnt'; did you mean 'convnet'"),
        (
            {"architecture": {"kind": "convnet", "width": 10**9}},
            "architecture.width: expected a value <= 512",
        ),
        ({"architecture": {"kind": "timm", "name": "hf-hub:a/b"}}, "timm has no network 'hf-hub:a/b'"),
        (
            {"architecture": {"kind": "timm", "name": "test_vit"}},
            "cannot be built: patch_size: expected patches that divide 8x10",
        ),
        ({"data": {}}, "data.channels: missing"),
        ({"surprise": 1}, "surprise: unknown key"),
    ],
)
def test_a_description_that_does_not_hold_is_refused(path: Path, description: dict[str, Any], message: str) -> None:
    refused(rewritten(path, **description), message)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", 2),
        ("height", 0),
        ("width", "10"),
        ("class_names", []),
        ("class_names", [1]),
        ("class_names", ["cat", "cat"]),
        ("multi_label", 1),
    ],
)
def test_a_description_of_impossible_data_is_refused(path: Path, field: str, value: object) -> None:
    refused(rewritten(path, data=description_of(path)["data"] | {field: value}), f"data.{field}")


@pytest.mark.parametrize("text", ["", "[" * 100_000, '"text"', "[1]", "null", "{]"])
def test_a_description_that_is_no_mapping_is_refused(path: Path, text: str) -> None:
    save_file(load_file(path), path, {KEY: text})
    refused(path, "description")


def spoilt(**changes: Tensor | None) -> dict[str, Tensor]:
    state = small().state_dict() | {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (spoilt(network__fc__bias=None), "it lacks network.fc.bias"),
        (spoilt(network__extra=torch.ones(1)), "it has the unexpected network.extra"),
        (spoilt(network__fc__bias=torch.ones(3)), r"expected network.fc.bias of shape \(2,\), got \(3,\)"),
        (
            spoilt(network__fc__bias=torch.ones(2).half()),
            "network.fc.bias as F32, got F16",
        ),
        (spoilt(network__fc__bias=torch.tensor([1, torch.nan])), "expected finite values in network.fc.bias"),
        (spoilt(network__fc__bias=torch.tensor([1, torch.inf])), "expected finite values in network.fc.bias"),
        (spoilt(mean=None), "expected 'mean' as F32 of shape .* got none"),
        (spoilt(std=torch.ones(1, 2, 1, 1)), r"expected 'std' as F32 of shape .* got F32 of shape \(1, 2, 1, 1\)"),
        (spoilt(std=torch.zeros(1, 3, 1, 1)), "expected positive values in std"),
        (spoilt(mean=torch.full((1, 3, 1, 1), torch.nan)), "expected finite values in mean"),
    ],
)
def test_tensors_that_are_not_the_architectures_are_refused(
    path: Path, tensors: dict[str, Tensor], message: str
) -> None:
    refused(rewritten(path, tensors), message)


def test_many_faults_are_counted_not_listed(path: Path) -> None:
    tensors = {name: tensor + 1 if "fc" in name else tensor for name, tensor in small().state_dict().items()}
    tensors = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    tensors |= {name: tensors[name].float() for name in ("mean", "std")}
    message = refused(rewritten(path, tensors), "and 9 faults more; take the weights of the same architecture")
    assert message.count("expected") == 3
