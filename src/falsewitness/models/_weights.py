"""Reading tensors from a file that nobody vouches for: safetensors only, every doubt refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from falsewitness.core import InputError

LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, little-endian, in this many bytes."""

LARGEST_HEADER = 16 * 2**20
"""Bytes; thirty times the header of a network with 2,000 tensors and 20,000 class names."""

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


class TensorFile(NamedTuple):
    """What a safetensors file holds.

    Attributes:
        tensors: By name.
        metadata: What its writer said about it; empty where nothing was said.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_tensors(path: Path) -> TensorFile:
    """Read a safetensors file; no code in it can run.

    Raises:
        InputError: If there is no such file, or if it is anything but a whole safetensors file.
    """
    _refuse_what_is_no_safetensors_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return TensorFile({name: file.get_tensor(name) for name in names}, file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected a whole safetensors file, but {error}; it is damaged or cut short: "
            "fetch or write it again"
        ) from None


def _refuse_what_is_no_safetensors_file(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(LENGTH_BYTES)
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


def check_tensors(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are not exactly those of a network.

    Args:
        path: Where they were found, for the error message.
        found: The tensors of the file.
        expected: The network's own, for their names, shapes and types.

    Raises:
        InputError: If one is missing, unexpected, of another shape or type, or not finite.
    """
    faults = [
        *_listed("lacks", [name for name in expected if name not in found]),
        *_listed("has the unexpected", [name for name in found if name not in expected]),
        *[fault for name in expected if name in found for fault in _differences(name, found[name], expected[name])],
    ]
    if faults:
        more = f" and {len(faults) - 3} faults more" if len(faults) > 3 else ""
        raise InputError(
            f"{path} does not fit the network: {'; '.join(faults[:3])}{more}; "
            "take the weights of the same architecture, with as many channels"
        )


def _listed(verb: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"it {verb} {', '.join(names[:3])}{more}"]


def _differences(name: str, found: Tensor, expected: Tensor) -> list[str]:
    if found.shape != expected.shape:
        return [f"expected {name} of shape {tuple(expected.shape)}, got {tuple(found.shape)}"]
    if found.dtype != expected.dtype:
        return [f"expected {name} as {expected.dtype}, got {found.dtype}"]
    if not torch.isfinite(found).all():
        return [f"expected finite values in {name}, got NaN or infinity"]
    return []


def load_weights(network: nn.Module, path: Path) -> Normalisation | None:
    """Load weights into a network made for them, strictly.

    The file holds the bare network's tensors, or it is a classifier saved by falsewitness. Only the last
    layer may differ, and only in the number of classes: it then keeps its fresh start.

    Args:
        network: A module of timm's convention; changed in place.
        path: A safetensors file.

    Returns:
        What the weights were trained to see, where the file says so: it is part of a saved classifier.

    Raises:
        InputError: If the file is no safetensors file or does not fit the network.
    """
    tensors, normalisation = _of_the_network(path, read_tensors(path).tensors)
    state = network.state_dict()
    tensors |= {name: state[name] for name in _classifier_names_to_keep(network, tensors)}
    check_tensors(path, tensors, state)
    network.load_state_dict(tensors)
    return normalisation


def _of_the_network(path: Path, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], Normalisation | None]:
    if not {"mean", "std"} <= tensors.keys():
        return tensors, None
    inner = {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name not in ("mean", "std")}
    return inner, normalisation_from(path, tensors)


def normalisation_from(path: Path, tensors: Mapping[str, Tensor]) -> Normalisation:
    """Return the normalisation among the tensors of a saved classifier.

    Raises:
        InputError: If it is missing, or cannot be divided by.
    """
    mean, std = (_numbers(path, tensors, name) for name in ("mean", "std"))
    if min(std) <= 0:
        raise InputError(f"{path}: expected positive values in std, got {std}; the file is damaged: write it again")
    return Normalisation(mean, std)


def _numbers(path: Path, tensors: Mapping[str, Tensor], name: str) -> tuple[float, ...]:
    tensor = tensors.get(name)
    if tensor is None or tensor.shape not in ((1, 1, 1, 1), (1, 3, 1, 1)) or not torch.isfinite(tensor).all():
        found = "none" if tensor is None else f"shape {tuple(tensor.shape)}"
        raise InputError(
            f"{path}: expected '{name}' as finite numbers of shape (1, 1 or 3, 1, 1), got {found}; "
            "the file is damaged or another program's: write it again"
        )
    return tuple(tensor.flatten().tolist())


def _classifier_names_to_keep(network: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the last layer's tensors where the file's are for another number of classes."""
    layer = getattr(network, "get_classifier", lambda: None)()
    if not isinstance(layer, nn.Linear):
        return []
    prefix = next(name for name, module in network.named_modules() if module is layer)
    found = tensors.get(f"{prefix}.weight")
    same_but_for_classes = (
        found is not None
        and found.ndim == 2
        and found.shape[1] == layer.in_features
        and len(found) != layer.out_features
    )
    return [f"{prefix}.{name}" for name, _ in layer.named_parameters()] if same_but_for_classes else []
