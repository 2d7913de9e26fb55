"""What two runs must share to be the same run."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from falsewitness.core.component import Strict
from falsewitness.core.files import sha256_of
from falsewitness.data import Dataset, Split
from falsewitness.experiment._spec import Role, Spec

NUMERICS = 2
"""Raised when a change of ours moves the figures of an unchanged spec."""


def train_digest(spec: Spec, role: Role, dataset: Dataset, *, precision: str, steps: int | None) -> str:
    """Return the digest of all that decides a model's weights.

    The clean model's covers no attack, the control's no more of it than its number of steps: attacks share them.

    Args:
        spec: The experiment.
        role: Which of its models.
        dataset: Its content and its split count, not where it lies.
        precision: As it was resolved for the device.
        steps: Of the attack's training, which the control shares; None for the clean model.
    """
    parts: dict[str, Any] = {
        "numerics": NUMERICS,
        "data": dataset.fingerprint,
        "split": {name: _rows(split) for name, split in (("train", dataset.train), ("test", dataset.test))},
        "model": _content(spec.model),
        "seed": spec.seed,
        "precision": precision,
        "clean_training": spec.clean_training.plain(),
    }
    if role != "clean" and spec.attack_training is not None:
        parts["training"] = spec.attack_training.plain()
    if role == "control" and spec.attack is not None:
        del parts["training"]["epochs"]
        parts |= {"start": spec.attack.start, "steps": steps}
    if role == "attack" and spec.attack is not None:
        parts["attack"] = _content(spec.attack)
    return _digest(parts)


def eval_digest(spec: Spec, role: Role, trained: Mapping[Role, str]) -> str:
    """Return the digest of all that decides a run's figures once its models are trained.

    Args:
        spec: The experiment.
        role: Which of its models is examined.
        trained: The train digests of its models.
    """
    parts: dict[str, Any] = {
        "examined": role,
        "trained": dict(trained),
        "numerics": NUMERICS,
        "split_seed": spec.data.split_seed,
        "metrics": [_content(metric) for metric in spec.metrics],
    }
    if role == "attack":
        parts |= {
            # A run's attack is in its train digest, but a stranger's model is only a file.
            "attack": None if spec.attack is None else _content(spec.attack),
            "auditors": [_content(auditor) for auditor in spec.auditors],
            "evaluation": spec.evaluation.plain(),
        }
    return _digest(parts)


def _rows(split: Split) -> str:
    return hashlib.sha256(np.ascontiguousarray(split.rows, dtype=np.int64).tobytes()).hexdigest()


def _content(part: Strict) -> dict[str, Any]:
    """Describe a part, every file in it by its content instead of its path."""
    hashes = {str(path): f"sha256:{sha256_of(path)}" for path in part.files() if path.is_file()}
    return {**_replaced(part.plain(), hashes), "code": _foreign_code(part)}


def _foreign_code(part: Strict) -> list[str]:
    """Return the hashes of the source files of parts that are not ours: NUMERICS does not rise when they change."""
    file = getattr(sys.modules.get(type(part).__module__), "__file__", None)
    is_ours = type(part).__module__.startswith("falsewitness.")
    own = [] if is_ours or file is None else [sha256_of(Path(file))]
    values = [value for item in vars(part).values() for value in (item if isinstance(item, tuple) else (item,))]
    return own + [code for value in values if isinstance(value, Strict) for code in _foreign_code(value)]


def _replaced(value: Any, hashes: dict[str, str]) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _replaced(item, hashes) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, hashes) for item in value]
    return hashes.get(value, value) if isinstance(value, str) else value


def _digest(parts: dict[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
