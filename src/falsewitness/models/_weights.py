"""Reading tensors from a file that nobody vouches for: safetensors only, every doubt refused."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from falsewitness.core import DataInfo, InputError
from falsewitness.core.errors import expect_text
from falsewitness.core.files import open_file
from falsewitness.models._last_layers import last_layers

LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, little-endian, in this many bytes."""

LARGEST_HEADER = 16 * 2**20
"""Bytes; thirty times the header of a network with 2,000 tensors and 20,000 class names."""

_DTYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32"}
_NORMALISATION = {"mean", "std"}
_PICKLE_SUFFIXES = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt"}
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class Normalisation(NamedTuple):
    """What pixels are normalised with before they enter a network.

    Attributes:
        mean: One a channel, or one for all.
        std: Standard deviation; one a channel, or one for all.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Described(NamedTuple):
    """What the header of a file says of a tensor.

    Attributes:
        shape: Its sizes.
        dtype: The type of its numbers, as safetensors names it (``F32``).
    """

    shape: tuple[int, ...]
    dtype: str


class TensorFile:
    """A safetensors file whose header has been read: its tensors are not, until they are known to be wanted.

    Attributes:
        path: Where it is.
        header: Its tensors, by name.
        metadata: What its writer said about it; empty where nothing was said.
    """

    def __init__(self, path: Path, file: Any) -> None:  # noqa: ANN401
        """Describe a file that ``safe_open`` has opened."""
        self.path = path
        self.metadata: dict[str, str] = file.metadata() or {}
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        self.header = {name: Described(tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
        self._file = file

    def read(self, name: str) -> Tensor:
        """Read a tensor.

        Raises:
            InputError: If one of its numbers is not finite.
        """
        tensor: Tensor = self._file.get_tensor(name)
        if not torch.isfinite(tensor).all():
            raise InputError(f"{self.path}: expected finite values in {name}, got NaN or infinity; write it again")
        if name.endswith("running_var") and (tensor < 0).any():
            raise InputError(
                f"{self.path}: expected variances of at least 0 in {name}, got {float(tensor.min()):.4g}; the file is "
                "damaged: write it again"
            )
        return tensor


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file; no code in it can run, and its tensors are not read yet.

    Raises:
        InputError: If there is no such file, or if it is anything but a whole safetensors file.
    """
    _refuse_what_is_no_safetensors_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield TensorFile(path, file)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected a whole safetensors file, but {error}; it is damaged or cut short: "
            "fetch or write it again"
        ) from None


def _refuse_what_is_no_safetensors_file(path: Path) -> None:
    expect_text(str(path), "model")
    try:
        with open_file(path) as file:
            start, size = file.read(LENGTH_BYTES), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(
            f"{path}: expected a readable safetensors file, got '{error.strerror}'; check the path"
        ) from None
    if path.suffix.lower() in _PICKLE_SUFFIXES or start.startswith(_PICKLE_STARTS):
        raise InputError(
            f"{path}: expected a safetensors file, got a pickle, and pickles are never loaded because "
            "loading one runs the code in it; convert it where you trust it, with "
            "safetensors.torch.save_file(model.state_dict(), PATH)"
        )
    length = int.from_bytes(start, "little")
    if len(start) < LENGTH_BYTES or length > min(size - LENGTH_BYTES, LARGEST_HEADER):
        raise InputError(
            f"{path}: expected a safetensors file, got {size} bytes whose first {LENGTH_BYTES} announce a "
            f"header of {length} bytes; it is of another format or cut short: fetch or write it again"
        )


def check_header(path: Path, found: Mapping[str, Described], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not exactly those of a network.

    Args:
        path: Where they were found, for the error message.
        found: The tensors of the file.
        expected: The network's own, for their names, shapes and types.

    Raises:
        InputError: If one is missing, unexpected, or of another shape or type.
    """
    wanted = {name: described(tensor) for name, tensor in expected.items()}
    faults = [
        *_listed("lacks", [name for name in wanted if name not in found]),
        *_listed("has the unexpected", [name for name in found if name not in wanted]),
        *[fault for name in wanted if name in found for fault in _differences(name, found[name], wanted[name])],
    ]
    if faults:
        more = f" and {len(faults) - 3} faults more" if len(faults) > 3 else ""
        raise InputError(
            f"{path} does not fit the network: {'; '.join(faults[:3])}{more}; "
            "take the weights of the same architecture, with as many channels"
        )


def described(tensor: Tensor) -> Described:
    """Describe a tensor as a file would."""
    name = str(tensor.dtype).removeprefix("torch.")
    return Described(tuple(tensor.shape), _DTYPES.get(name, name))


def _listed(verb: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"it {verb} {', '.join(names[:3])}{more}"]


def _differences(name: str, found: Described, expected: Described) -> list[str]:
    if found.shape != expected.shape:
        return [f"expected {name} of shape {expected.shape}, got {found.shape}"]
    if found.dtype != expected.dtype:
        return [f"expected {name} as {expected.dtype}, got {found.dtype}"]
    return []


def load_weights(network: nn.Module, path: Path, channels: int) -> Normalisation | None:
    """Load weights into a network made for them, strictly.

    The file holds the bare network's tensors, or it is a classifier saved by falsewitness. Only the last
    layer may differ, and only in the number of classes: it then keeps its fresh start.

    Args:
        network: A module of timm's convention; changed in place.
        path: A safetensors file.
        channels: Of the images.

    Returns:
        What the weights were trained to see, where the file says so: it is part of a saved classifier.

    Raises:
        InputError: If the file is no safetensors file or does not fit the network.
    """
    state = network.state_dict()
    with open_tensors(path) as file:
        normalisation = normalisation_of(file, channels) if file.header.keys() >= _NORMALISATION else None
        names = {name: name for name in file.header}
        if normalisation is not None:  # then it is a saved classifier, whose network has this name
            names = {name.removeprefix("network."): name for name in names if name not in _NORMALISATION}
        header = {bare: file.header[name] for bare, name in names.items()}
        fresh = _classifier_names_to_keep(network, header)
        check_header(path, header | {name: described(state[name]) for name in fresh}, state)
        tensors = {bare: file.read(name) for bare, name in names.items() if bare not in fresh}
    network.load_state_dict(tensors | {name: state[name] for name in fresh})
    return normalisation


def expect_finite_answer(model: nn.Module, info: DataInfo, path: Path) -> None:
    """Have a network with weights from a file look at an image of all shades.

    Args:
        model: Takes images in [0, 1].
        info: Channels and size of the images.
        path: The file.

    Raises:
        InputError: If it answers with anything but numbers: every number in the file may be finite and still too large.
    """
    shades = torch.linspace(0, 1, info.height * info.width).view(1, 1, info.height, info.width)
    with torch.no_grad():
        answer = model(shades.expand(1, info.channels, -1, -1))
    if not torch.isfinite(answer).all():
        raise InputError(
            f"{path}: expected a network that answers with finite numbers, got NaN or infinity for an image; its "
            "weights, or the mean and std beside them, are damaged or not of this network: write it again"
        )


def normalisation_of(file: TensorFile, channels: int) -> Normalisation:
    """Read the normalisation in the file of a saved classifier.

    Args:
        file: The file.
        channels: Of the images.

    Raises:
        InputError: If it is missing, or cannot be divided by.
    """
    mean, std = (_numbers(file, name, channels) for name in ("mean", "std"))
    if min(std) <= 0:
        raise InputError(
            f"{file.path}: expected positive values in std, got {std}; the file is damaged: write it again"
        )
    return Normalisation(mean, std)


def _numbers(file: TensorFile, name: str, channels: int) -> tuple[float, ...]:
    found = file.header.get(name)
    counts = sorted({1, channels})
    if found not in [Described((1, count, 1, 1), "F32") for count in counts]:
        raise InputError(
            f"{file.path}: expected '{name}' as F32 of shape (1, {' or '.join(map(str, counts))}, 1, 1), got "
            f"{'none' if found is None else f'{found.dtype} of shape {found.shape}'}; "
            "the file is damaged or another program's: write it again"
        )
    return tuple(file.read(name).flatten().tolist())


def _classifier_names_to_keep(network: nn.Module, found: Mapping[str, Described]) -> list[str]:
    """Return the names of the last layer's tensors where the file's are for another number of classes."""
    layer = next(iter(last_layers(network)), None)
    if not isinstance(layer, nn.Linear):
        return []
    prefix = next(name for name, module in network.named_modules() if module is layer)
    shape = found[f"{prefix}.weight"].shape if f"{prefix}.weight" in found else ()
    same_but_for_classes = len(shape) == 2 and shape[1] == layer.in_features and shape[0] != layer.out_features
    return [f"{prefix}.{name}" for name, _ in layer.named_parameters()] if same_but_for_classes else []
