"""What two runs must share to be the same run.

A benchmark asks for the digests of thousands of runs whose parts are mostly the same, so the JSON text of a part is
remembered, and a digest is that of the texts put together.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from falsewitness.core.component import Strict, strings_replaced
from falsewitness.core.files import sha256_of
from falsewitness.core.foreign import foreign_sources
from falsewitness.core.shapes import Rows
from falsewitness.data import Dataset
from falsewitness.experiment._spec import Role, Spec
from falsewitness.explainers import Explainer

NUMERICS = 3
"""Raised when a change of ours moves the figures of an unchanged spec."""

EVALUATION_VERSION = 5
"""Raised when an evaluation leaves anything else than before: earlier ones are made anew, and no model is trained.

1: ``values.npz``. 2: auditors of one kind are called by the fields that tell them apart. 3: the detector of triggered
maps sees constant ones too, the highest pixels of a map are never its background, gaps have another interval. 4: what
a detector of triggered maps tells of the clean model. 5: how much more it tells of the attacked one, in pairs.
"""

_REMEMBERED = 4096  # parts, of about a kilobyte each

_JSON = json.JSONEncoder(sort_keys=True, allow_nan=False)


def train_digest(spec: Spec, role: Role, dataset: Dataset, *, precision: str, steps: int | None) -> str:
    """Return the digest of all that decides a model's weights.

    The clean model's covers no attack, the control's no more of it than its number of steps: attacks share them. What a
    training leaves out (null) does not count, so that a new field which changes nothing keeps old runs.

    Args:
        spec: The experiment.
        role: Which of its models.
        dataset: Its content and its split count, not where it lies.
        precision: As it was resolved for the device.
        steps: Of the attack's training, which the control shares; None for the clean model.
    """
    parts = {
        "numerics": str(NUMERICS),
        "data": _JSON.encode(dataset.fingerprint),
        "split": _JSON.encode({"train": dataset.train.digest, "test": dataset.test.digest}),
        "model": _content(spec.model),
        "seed": str(spec.seed),
        "precision": _JSON.encode(precision),
        "clean_training": _sorted(spec.clean_training.model_dump_json(exclude_none=True)),
    }
    if role != "clean" and spec.attack_training is not None:
        # A control's epochs are counted in steps below.
        own = {"epochs"} if role == "control" and spec.attack is not None else None
        parts["training"] = _sorted(spec.attack_training.model_dump_json(exclude=own, exclude_none=True))
    if role == "control" and spec.attack is not None:
        parts |= {"start": _JSON.encode(spec.attack.start), "steps": _JSON.encode(steps)}
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
    parts = {
        "examined": _JSON.encode(role),
        "trained": _JSON.encode(dict(trained)),
        "numerics": str(NUMERICS),
        "leaves": str(EVALUATION_VERSION),
        "split_seed": str(spec.data.split_seed),
        "metrics": _contents(spec.metrics),
    }
    if role == "attack":
        parts |= {
            # A run's attack is in its train digest, but a stranger's model is only a file.
            "attack": "null" if spec.attack is None else _content(spec.attack),
            "auditors": _contents(spec.auditors),
            "evaluation": _sorted(spec.evaluation.model_dump_json()),
        }
    return _digest(parts)


def references_digest(
    surrogate: Explainer,
    *,
    clean: str,
    weights: str,
    split_seed: int,
    environment: Mapping[str, Any],
    samples: Rows,
    columns: int,
    mirrored: bool,
) -> str:
    """Return the digest of all that decides a clean model's reference maps.

    Args:
        surrogate: What explains; how an attack trains against it does not count.
        clean: The clean model's train digest, which covers the data.
        weights: Their hash: another machine comes to others.
        split_seed: Draws what a surrogate compares images with.
        environment: What computes them, and how, down to what moves the last digit.
        samples: Of which images.
        columns: How many maps an image has.
        mirrored: Whether mirror images have maps, too.
    """
    parts = {
        "surrogate": _content(surrogate.as_auditor()),
        "clean": _JSON.encode(clean),
        "weights": _JSON.encode(weights),
        "split_seed": str(split_seed),
        "environment": _JSON.encode(dict(environment)),
        "samples": _JSON.encode(hashlib.sha256(samples.numpy().tobytes()).hexdigest()),
        "columns": str(columns),
        "mirrored": _JSON.encode(mirrored),
    }
    return _digest(parts)


def _contents(parts: Iterable[Strict]) -> str:
    return f"[{', '.join(map(_content, parts))}]"


def _content(part: Strict) -> str:
    """Describe a part in JSON, every file in it by its content instead of its path."""
    try:
        lasting = _lasting_content(_Written(part, part.model_dump_json()))
    except ValueError:  # text that is not UTF-8: a file's name may be anything
        lasting = None
    return _present_content(part) if lasting is None else lasting


class _Written:
    """A part, known by how it is written: that is hashed faster, and tells 0.0 from -0.0."""

    __slots__ = ("part", "written")

    def __init__(self, part: Strict, written: str) -> None:
        self.part, self.written = part, written

    def __hash__(self) -> int:
        return hash((type(self.part), self.written))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Written) and (type(self.part), self.written) == (type(other.part), other.written)


@lru_cache(_REMEMBERED)
def _lasting_content(known: _Written) -> str | None:
    """Describe a part that names no file and is of our code alone; None for another, which may change any time."""
    if known.part.files() or foreign_sources(known.part):
        return None
    return _JSON.encode({**json.loads(known.written), "code": []})


def _present_content(part: Strict) -> str:
    hashes = {str(path): f"sha256:{sha256_of(path)}" for path in part.files() if path.is_file()}
    code = [sha256_of(file) for file in foreign_sources(part)]
    return _JSON.encode({**strings_replaced(part.plain(), hashes), "code": code})


@lru_cache(_REMEMBERED)
def _sorted(written: str) -> str:
    """Return JSON with its keys in order."""
    return _JSON.encode(json.loads(written))


def _digest(parts: Mapping[str, str]) -> str:
    """Return the digest of a mapping whose values are written in JSON; that of the mapping written with sorted keys."""
    text = "{" + ", ".join(f'"{name}": {parts[name]}' for name in sorted(parts)) + "}"
    return hashlib.sha256(text.encode()).hexdigest()
