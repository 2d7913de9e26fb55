"""Classifiers as files: safetensors with their own description, so that one file is enough to use a model."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, field_validator
from safetensors.torch import save
from torch import Tensor

from falsewitness.core import DataInfo, InputError, SpecError, Strict
from falsewitness.core.faults import shown
from falsewitness.core.files import replacing
from falsewitness.models._base import Architecture
from falsewitness.models._catalogue import AnyArchitecture
from falsewitness.models._classifier import Classifier
from falsewitness.models._weights import (
    Normalisation,
    check_header,
    expect_finite_answer,
    normalisation_of,
    open_tensors,
)

VERSION = 1
"""Version of the format; raised when a reader of the old one would misunderstand the new."""

KEY = "falsewitness"
"""The one entry of the file's metadata. One, because safetensors writes several in random order, and equal
models must give equal files."""


_LONGEST_SIDE = 4096


class _Data(Strict):
    channels: Literal[1, 3]
    height: int = Field(ge=1, le=_LONGEST_SIDE)
    width: int = Field(ge=1, le=_LONGEST_SIDE)
    class_names: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    multi_label: bool

    @field_validator("class_names")
    @classmethod
    def _differ(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        (name, count), *_ = Counter(names).most_common(1)
        if count > 1:
            raise ValueError(f"expected names that differ, got {shown(name)} {count} times")
        return names


class _Description(Strict):
    version: Literal[1]
    architecture: AnyArchitecture
    data: _Data


def save_classifier(model: Classifier, path: Path) -> None:
    """Write a classifier to a file that :func:`load_classifier` turns into an equal one.

    The file appears whole or not at all: it is written under another name and renamed.

    Args:
        model: Made by an architecture's ``bind``.
        path: The file to write; one that is there is replaced.

    Raises:
        InputError: If the classifier is a wrapped module, or if its weights are not finite 32-bit numbers.
        RunFailedError: If the file cannot be written.
    """
    description = _describe(model)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if unfit := [name for name, tensor in state.items() if not _can_be_read_again(tensor)]:
        raise InputError(f"expected finite 32-bit weights to save in {path}, got others in {', '.join(unfit[:3])}")
    with replacing(path) as temporary:
        temporary.write_bytes(save(state, {KEY: json.dumps(description, sort_keys=True)}))


def _describe(model: Classifier) -> dict[str, Any]:
    if model.architecture is None or model.info is None:
        raise InputError(
            "expected a classifier made from an architecture, got a wrapped module of unknown blueprint; "
            "save the module itself with safetensors.torch.save_model"
        )
    data = _Data.parse(asdict(model.info), "the data of the classifier")
    return {"version": VERSION, "architecture": model.architecture.plain(), "data": data.plain()}


def _can_be_read_again(tensor: Tensor) -> bool:
    return tensor.dtype in (torch.float32, torch.int64) and bool(torch.isfinite(tensor).all())


def load_classifier(path: Path) -> Classifier:
    """Read a classifier that :func:`save_classifier` wrote, in evaluation mode on the CPU.

    No code in the file can run, and nothing that it names is fetched or opened.

    Args:
        path: The file.

    Raises:
        InputError: If the file is missing, damaged, of another format or not what its description says.
    """
    with open_tensors(path) as file:
        description = _parse(path, file.metadata)
        info = DataInfo(**dict(description.data))
        normalisation = normalisation_of(file, info.channels)
        with _told_of(path):
            blueprint = description.architecture.blueprint(info)
        shapes = {f"network.{name}": tensor for name, tensor in blueprint.items()}
        check_header(path, file.header, shapes | _as_tensors(normalisation))
        tensors = {name: file.read(name) for name in file.header}
    with _told_of(path):
        model = _bind(description.architecture, info, normalisation)
    model.load_state_dict(tensors)
    expect_finite_answer(model, info, path)
    return model


def _as_tensors(normalisation: Normalisation) -> dict[str, Tensor]:
    return {name: torch.tensor(values).view(1, -1, 1, 1) for name, values in normalisation._asdict().items()}


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Say which file a network that cannot be built is in."""
    try:
        yield
    except SpecError as error:
        reason = "; ".join(map(str, error.faults))
        raise InputError(f"{path}: the architecture in it cannot be built: {reason}") from None


def _parse(path: Path, metadata: dict[str, str]) -> _Description:
    if KEY not in metadata:
        raise InputError(
            f"{path}: expected a classifier saved by falsewitness, got a safetensors file without its "
            "description; give bare weights to an architecture as `pretrained: PATH`"
        )
    try:
        raw = json.loads(metadata[KEY])
    except (ValueError, RecursionError):
        raise InputError(
            f"{path}: expected its description as JSON, got {metadata[KEY][:40]!r}; write the file again"
        ) from None
    version = raw.get("version") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise InputError(f"{path}: expected format version {VERSION}, got {version}; install a newer falsewitness")
    return _Description.parse(raw, f"the description in {path}")


def _bind(architecture: Architecture, info: DataInfo, normalisation: Normalisation) -> Classifier:
    """Build the classifier with fresh weights; those that it was itself begun with are not looked for."""
    fresh = architecture.model_copy(update={"pretrained": None})
    model = fresh.bind(info, seed=0, mean=normalisation.mean, std=normalisation.std)
    model.architecture = architecture
    return model
