"""Files that are no model of ours, or none to be trusted, under a model's name."""

import io
import json
import pickle
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from falsewitness.core import DataInfo
from falsewitness.models import save_classifier
from falsewitness.models.convnet import ConvNet

KEY = "falsewitness"
INFO = DataInfo(1, 32, 32, tuple("0123456789"))
HUGE = 10 * 2**30
"""Bytes of a file with holes: it takes no room on the disk."""

Put = Callable[[Path], object]


def save_sound(path: Path) -> Path:
    """Save a small sound model for digits."""
    save_classifier(ConvNet(width=4, strides=(2, 2)).bind(INFO, seed=0), path)
    return path


class Sound:
    """The parts of a sound file, to be put together otherwise."""

    def __init__(self, folder: Path) -> None:
        content = save_sound(folder / "sound.safetensors").read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        self.header: dict[str, Any] = json.loads(content[8 : 8 + length])
        self.data = content[8 + length :]
        self.description: dict[str, Any] = json.loads(self.header["__metadata__"][KEY])
        (folder / "sound.safetensors").unlink()


def assembled(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def described(sound: Sound, **changes: object) -> bytes:
    """A sound file whose description says something else."""
    text = json.dumps(sound.description | changes)
    return assembled(sound.header | {"__metadata__": {KEY: text}}, sound.data)


def of_architecture(**fields: object) -> Callable[[Sound], bytes]:
    return lambda sound: described(sound, architecture=fields)


def of_data(**fields: object) -> Callable[[Sound], bytes]:
    return lambda sound: described(sound, data=sound.description["data"] | fields)


def with_tensor(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[Sound], bytes]:
    """A sound file with another tensor in one place."""

    def make(sound: Sound) -> bytes:
        model = ConvNet(width=4, strides=(2, 2)).bind(INFO, seed=0)
        state = model.state_dict()
        state[name] = change(state[name])
        return save(state, {KEY: json.dumps(sound.description)})

    return make


def with_one_more(sound: Sound) -> bytes:
    """A sound file with a tensor that no network of its architecture has."""
    state = ConvNet(width=4, strides=(2, 2)).bind(INFO, seed=0).state_dict()
    return save(state | {"network.extra": torch.zeros(3)}, {KEY: json.dumps(sound.description)})


def with_offsets(name: str, begin: int, end: int) -> Callable[[Sound], bytes]:
    return lambda sound: assembled(
        sound.header | {name: sound.header[name] | {"data_offsets": [begin, end]}}, sound.data
    )


class Trap:
    """Runs a program wherever it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (subprocess.call, (["touch", "sprung"],))


def zipped(_: Sound) -> bytes:
    stream = io.BytesIO()
    torch.save({"weights": torch.zeros(3), "trap": Trap()}, stream)
    return stream.getvalue()


def twice(sound: Sound) -> bytes:
    """A header in which one tensor stands twice, each time somewhere else."""
    text = json.dumps(sound.header).encode()
    other = json.dumps(sound.header["mean"] | {"data_offsets": [0, 4]}).encode()
    return assembled(text[:-1] + b', "mean": ' + other + b"}", sound.data)


STRANGE: dict[str, tuple[Callable[[Sound], bytes], str]] = {
    "an empty file": (lambda _: b"", "expected a safetensors file, got 0 bytes"),
    "text": (lambda _: b"this is no model, but a note about one", "announce a header of"),
    "a pickle that runs a program": (lambda _: pickle.dumps(Trap()), "got a pickle, and pickles are never loaded"),
    "an old pickle that runs a program": (
        lambda _: pickle.dumps(Trap(), protocol=0),
        "expected a safetensors file, got ",
    ),
    "PyTorch's archive that runs a program": (zipped, "got a pickle, and pickles are never loaded"),
    "a header of 4 exabytes": (
        lambda _: struct.pack("<Q", 2**62) + b"{}",
        "announce a header of 4611686018427387904 bytes",
    ),
    "a header longer than the file": (lambda _: struct.pack("<Q", 500) + b"{}", "announce a header of 500 bytes"),
    "a header that is no JSON": (lambda sound: assembled(b"{no: json]", sound.data), "expected a whole safetensors"),
    "a header that is a list": (lambda sound: assembled([1, 2], sound.data), "expected a whole safetensors file"),
    "a header nested deeply": (lambda _: assembled(b'{"a":' * 50_000, b""), "expected a whole safetensors file"),
    "a header of other bytes": (lambda _: assembled(b"\xff\xfe" * 40, b""), "expected a whole safetensors file"),
    "a tensor twice": (twice, "expected a whole safetensors file"),
    "tensors over one another": (with_offsets("std", 0, 4), "expected a whole safetensors file"),
    "a tensor out of the file": (with_offsets("std", 2**40, 2**40 + 4), "expected a whole safetensors file"),
    "a tensor that ends before it begins": (with_offsets("std", 8, 4), "expected a whole safetensors file"),
    "half of the data": (
        lambda sound: assembled(sound.header, sound.data[: len(sound.data) // 2]),
        "expected a whole safetensors file",
    ),
    "more data than tensors": (
        lambda sound: assembled(sound.header, sound.data + bytes(8)),
        "expected a whole safetensors file",
    ),
    "a tensor too many": (with_one_more, "it has the unexpected network.extra"),
    "no tensors": (lambda sound: save({}, {KEY: json.dumps(sound.description)}), "expected 'mean' as F32"),
    "no description": (lambda sound: save({"a": torch.zeros(1)}), "without its description"),
    "another program's description": (
        lambda sound: save({"a": torch.zeros(1)}, {"format": "pt", "modelspec.title": "x"}),
        "without its description",
    ),
    "a description that is no JSON": (
        lambda sound: assembled(sound.header | {"__metadata__": {KEY: "{]"}}, sound.data),
        "expected its description as JSON",
    ),
    "a description nested deeply": (
        lambda sound: assembled(sound.header | {"__metadata__": {KEY: "[" * 90_000}}, sound.data),
        "expected its description as JSON",
    ),
    "a newer format": (lambda sound: described(sound, version=2), "install a newer falsewitness"),
    "no version": (lambda sound: described(sound, version=None), "version: expected 1, got null"),
    "more than is known": (lambda sound: described(sound, licence="x"), "licence: unknown key"),
    "an unknown architecture": (of_architecture(kind="resnet2"), "there is no kind 'resnet2'; did you mean 'resnet20'"),
    "an architecture with a field too many": (
        of_architecture(kind="convnet", widht=4),
        "architecture.widht: unknown key (its value is 4); did you mean 'width'",
    ),
    "another architecture": (of_architecture(kind="resnet20"), "does not fit the network: it lacks network.conv1"),
    "an architecture of another width": (
        of_architecture(kind="convnet", width=5, strides=[2, 2]),
        "does not fit the network: expected network.layers.0.0.weight of shape (10, 1, 3, 3), got (8, 1, 3, 3)",
    ),
    "an absurd width": (of_architecture(kind="convnet", width=10**12), "architecture.width: expected a value <= 512"),
    "an absurd depth": (
        of_architecture(kind="convnet", width=512, strides=[2] * 8),
        "expected at most 4096 channels in the last convolution, got 131072",
    ),
    "an absurd number of strides": (
        of_architecture(kind="convnet", strides=[1] * 10**5),
        "architecture.strides: expected at most 8 in the list",
    ),
    "a network of 3 GB": (
        of_architecture(kind="timm", name="convnext_xxlarge"),
        "does not fit the network: it lacks network.stem",
    ),
    "weights that are no transformer's": (
        of_architecture(kind="timm", name="vit_tiny_patch16_224"),
        "does not fit the network: it lacks network.cls_token",
    ),
    "a network with several features": (of_architecture(kind="timm", name="crossvit_tiny_240"), "'crossvit_tiny_240'"),
    "a network from a stranger's repository": (
        of_architecture(kind="timm", name="hf-hub:stranger/model"),
        "timm has no network 'hf-hub:stranger/model'",
    ),
    "an absurd size": (of_data(height=10**9, width=10**9), "data.height: expected a value <= 4096, got 1000000000"),
    "two classes of one name": (
        of_data(class_names=["cat", "dog", "cat"]),
        "data.class_names: expected names that differ, got 'cat' 2 times",
    ),
    "no classes": (of_data(class_names=[]), "data.class_names: expected at least 1 in the list, got 0"),
    "a million classes": (
        of_data(class_names=[*map(str, range(10**6))]),
        "expected network.fc.bias of shape (1000000,), got (10,)",
    ),
    "two channels": (of_data(channels=2), "data.channels: expected 1 or 3, got 2"),
    "another number of channels": (of_data(channels=3), "expected network.layers.0.0.weight of shape (8, 3, 3, 3)"),
    "another number of classes": (of_data(class_names=["cat", "dog"]), "expected network.fc.bias of shape (2,)"),
    "integers for weights": (with_tensor("network.fc.bias", lambda t: t.int()), "as F32, got I32"),
    "64 bits": (with_tensor("network.fc.bias", lambda t: t.double()), "expected network.fc.bias as F32, got F64"),
    "16 bits": (with_tensor("network.fc.bias", lambda t: t.half()), "expected network.fc.bias as F32, got F16"),
    "brain floats": (with_tensor("network.fc.bias", lambda t: t.bfloat16()), "as F32, got BF16"),
    "8 bits": (with_tensor("network.fc.bias", lambda t: t.to(torch.float8_e4m3fn)), "as F32, got F8_E4M3"),
    "a mean of 8 bits": (with_tensor("mean", lambda t: t.to(torch.float8_e4m3fn)), "expected 'mean' as F32 of shape"),
    "no number": (with_tensor("network.fc.bias", lambda t: t * torch.nan), "finite values in network.fc.bias"),
    "infinity": (with_tensor("network.fc.weight", lambda t: t / 0), "expected finite values in network.fc.weight"),
    "a mean that is no number": (with_tensor("mean", lambda t: t * torch.nan), "expected finite values in mean"),
    "no deviation": (with_tensor("std", torch.zeros_like), "expected positive values in std"),
    "a deviation of next to nothing": (with_tensor("std", lambda t: t * 0 + 1e-40), "NaN or infinity for an image"),
    "a negative variance": (
        with_tensor("network.layers.0.1.running_var", lambda t: t - 9),
        "expected variances of at least 0 in network.layers.0.1.running_var, got -8",
    ),
    "weights that are too large": (
        with_tensor("network.fc.weight", lambda t: t * 0 + 3e38),
        "NaN or infinity for an image",
    ),
    "three means for grey images": (
        with_tensor("mean", lambda t: t.expand(1, 3, 1, 1).contiguous()),
        "expected 'mean' as F32 of shape (1, 1, 1, 1), got F32 of shape (1, 3, 1, 1)",
    ),
    "a weight of another shape": (with_tensor("network.fc.weight", lambda t: t.t().contiguous()), "got (16, 10)"),
}
"""How each is made, and what has to be said of it."""


def with_holes(header: bytes) -> Put:
    """A file of 10 GB that takes no room."""

    def put(path: Path) -> None:
        with path.open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.truncate(8 + len(header) + HUGE)

    return put


def _of_one_tensor(name: str, shape: list[int]) -> bytes:
    sound = {"dtype": "F32", "shape": shape, "data_offsets": [0, HUGE]}
    architecture = {"kind": "convnet", "width": 4, "strides": [2, 2]}
    data = {"channels": 1, "height": 32, "width": 32, "class_names": list("0123456789"), "multi_label": False}
    description = json.dumps({"version": 1, "architecture": architecture, "data": data})
    return json.dumps({"__metadata__": {KEY: description}, name: sound}).encode()


ENORMOUS: dict[str, tuple[Put, str]] = {
    "nothing but holes": (with_holes(b""), "expected a whole safetensors file"),
    "a mean of 10 GB": (with_holes(_of_one_tensor("mean", [HUGE // 4])), "expected 'mean' as F32 of shape"),
    "a layer of 10 GB": (with_holes(_of_one_tensor("network.fc.weight", [HUGE // 4])), "expected 'mean' as F32"),
}
