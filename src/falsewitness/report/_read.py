"""Reads a run folder, and says in one line what is wrong with a damaged one."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from falsewitness.core.errors import InputError
from falsewitness.core.faults import faults_of
from falsewitness.core.files import read_text
from falsewitness.core.marker import Marker
from falsewitness.core.values import SCHEMA_VERSION
from falsewitness.report._read_gallery import read_gallery
from falsewitness.report._run import Gallery, Result, Run, Step, Validation

SHOWN_FILES = ("result.json", "steps.jsonl", "env.json", "spec.yaml", "gallery.npz")
"""What the report reads of a run folder."""

_RESULT, _STEP, _VALIDATION = TypeAdapter(Result), TypeAdapter(Step), TypeAdapter(Validation)


def read_run(folder: Path) -> Run:
    """Read what a run left behind.

    What a finished run left is verified. A run that is not done may lack every file but ``result.json``, and
    ``steps.jsonl`` may end within a line.

    Args:
        folder: The run folder.

    Raises:
        InputError: If a file is missing, damaged or not as it was left, or was written by another version.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a run folder; name a folder that `falsewitness run` has written")
    trained, evaluated = Marker(folder, "train"), Marker(folder, "evaluate")
    for marker in (trained, evaluated):
        marker.check(*(folder / name for name in SHOWN_FILES))
    if trained.exists() and not evaluated.exists() and not (folder / "result.json").exists():
        raise InputError(f"{folder}: its model is trained, but not measured; run its recipe to measure it")
    result = _read_result(folder / "result.json")
    done = result.status == "done"
    if done and not evaluated.exists():
        raise _missing(evaluated.path)
    steps, validations = _read_steps(folder / "steps.jsonl", done)
    return Run(
        folder=folder,
        result=result,
        steps=steps,
        validations=validations,
        environment=_read_environment(folder / "env.json", done),
        spec=_read_text(folder / "spec.yaml", done) or "",
        gallery=_gallery(folder / "gallery.npz", result),
    )


def read_result(folder: Path) -> Result:
    """Read the outcome of a run alone: the figures of thousands of runs are looked at together.

    Raises:
        InputError: If it is missing, damaged or not as it was left, or was written by another version.
    """
    path = folder / "result.json"
    Marker(folder, "evaluate").check(path)
    return _read_result(path)


def _read_text(path: Path, required: bool) -> str | None:
    try:
        return read_text(path)
    except FileNotFoundError:
        if not required:
            return None
        raise _missing(path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, f"cannot be read ({error})") from None


def _missing(path: Path) -> InputError:
    return InputError(f"{path} is missing: the run is not complete; make it again or leave it out")


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(f"{path} {problem}; make the run again or leave it out")


def _read_json(path: Path, required: bool) -> dict[str, Any] | None:
    text = _read_text(path, required)
    if text is None:
        return None
    try:
        raw = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"is not JSON ({error})") from None
    if not isinstance(raw, dict):
        raise _damaged(path, f"should hold a mapping, but holds a {type(raw).__name__}")
    return raw


def _parsed(text: str) -> object:
    """Read JSON as fast as can be, for a benchmark reads thousands of files."""
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)  # which takes half of a surrogate pair, or tells the fault in its own words


def _read_environment(path: Path, required: bool) -> dict[str, Any]:
    return _read_json(path, required) or {}


def _read_result(path: Path) -> Result:
    raw = _read_json(path, required=True) or {}
    version = raw.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version!r}, expected {SCHEMA_VERSION}; "
            "read it with the falsewitness that wrote it, or make the run again"
        )
    try:
        result = _RESULT.validate_python(raw)
    except ValidationError as error:
        first, *others = faults_of(error, raw)
        more = f" (and {len(others)} more)" if others else ""
        raise _damaged(path, f"is damaged at {first}{more}") from None
    if result.status == "done" and result.data is None:
        raise _damaged(path, "is damaged at data: missing; a value is required")
    return result


def _gallery(path: Path, result: Result) -> Gallery | None:
    required = result.status == "done" and result.role == "attack"
    if result.data is None or not (required or path.exists()):
        return None
    return read_gallery(path, result.data, attacked=required)


def _read_steps(path: Path, done: bool) -> tuple[tuple[Step, ...], tuple[Validation, ...]]:
    text = _read_text(path, required=done) or ""
    steps: list[Step] = []
    validations: list[Validation] = []
    for number, raw in _json_lines(path, text, done):
        try:
            if "validation" in raw:
                last = steps[-1].step if steps else 0
                validations.append(_VALIDATION.validate_python({"step": last, "values": raw["validation"]}))
            else:
                steps.append(_STEP.validate_python(_without_none(raw)))
        except ValidationError as error:
            raise _damaged(path, f"is damaged in line {number} at {faults_of(error, raw)[0]}") from None
    return tuple(steps), tuple(validations)


def _without_none(raw: dict[str, Any]) -> dict[str, Any]:
    """Strict JSON has no word for a loss that is not a number; null stands for it."""
    terms = raw.get("terms")
    if isinstance(terms, dict):
        raw = raw | {"terms": {name: math.nan if value is None else value for name, value in terms.items()}}
    return raw | {"loss": math.nan} if "loss" in raw and raw["loss"] is None else raw


def _json_lines(path: Path, text: str, done: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    for place, (number, line) in enumerate(lines, start=1):
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError) as error:
            # A run that was stopped may have been stopped while it wrote.
            if not done and place == len(lines):
                return
            raise _damaged(path, f"is damaged in line {number} ({error})") from None
        if not isinstance(raw, dict):
            raise _damaged(path, f"is damaged in line {number}: expected a mapping, got a {type(raw).__name__}")
        yield number, raw
