"""docs/run-folder.md, against the files that a run writes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tests.unit.experiment.conftest import Folders, result_of

from falsewitness.experiment import ROLES, Role
from falsewitness.report._read import read_run

PAGE = Path(__file__).parents[3] / "docs" / "run-folder.md"


def documented(heading: str) -> set[str]:
    """Return what stands in the first column of the first table under a heading."""
    section = re.split(rf"^#+ {re.escape(heading)}$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    table = re.search(r"(?:^\|.*\n)+", section, flags=re.MULTILINE)
    assert table is not None
    return set(re.findall(r"^\| `([^`]+)` \|", table.group(), flags=re.MULTILINE))


def in_general(key: str, auditors: set[str]) -> str:
    """Return a key with the names in it replaced by what they are."""
    models, views = ("clean", "attacked"), ("clean", "triggered")
    parts = ["AUDITOR" if part in auditors else part for part in key.split("/")]
    if parts[0] in ("predicted", "confidence", "maps"):
        assert parts[-2] in models
        assert parts[-1] in views
        parts[-2:] = ["MODEL", "VIEW"]
    return "/".join(parts)


@pytest.mark.parametrize("role", ROLES)
def test_the_documented_keys_of_a_result_are_those_written(finished: Folders, role: Role) -> None:
    result = result_of(finished[role])
    assert set(result) == documented("result.json")
    assert set(result["data"]) == documented("data")
    assert set(result["cost"]) == documented("cost")
    assert all(set(found) == documented("measurements") for found in result["measurements"])
    assert result["measurements"]
    assert result["schema_version"] == 1


def test_the_documented_keys_of_an_attack_are_those_written(finished: Folders) -> None:
    assert set(result_of(finished["attack"])["attack"]) == documented("attack")
    assert result_of(finished["clean"])["attack"] is None
    assert result_of(finished["control"])["attack"] is None


def test_the_documented_files_are_those_written(finished: Folders) -> None:
    later = {
        "references-<digest>.safetensors",
        ".references-<digest>.lock",
        "checkpoint.safetensors",
        "report.html",
        "failure.json",
        "evaluations/",
    }
    of_attacks = {"maps.npz", "gallery.npz"}
    for role, folder in finished.items():
        missing = later if role == "attack" else later | of_attacks
        assert {file.name for file in folder.path.iterdir()} == documented("Files") - missing


def test_the_documented_arrays_of_the_gallery_are_those_written(finished: Folders) -> None:
    of_every_class = {"columns/AUDITOR/MODEL/VIEW"}  # neither auditor's maps are shown so
    with np.load(finished["attack"].gallery, allow_pickle=False) as arrays:
        found = {in_general(key, {"gradcam", "gradient"}) for key in arrays}
    assert found == documented("gallery.npz") - of_every_class


def test_the_documented_arrays_of_maps_are_those_written(finished: Folders) -> None:
    with np.load(finished["attack"].maps, allow_pickle=False) as arrays:
        assert {in_general(key, {"gradcam", "gradient"}) for key in arrays} == documented("maps.npz")
        assert len(arrays) == 1 + 2 * 8


@pytest.mark.parametrize("role", ROLES)
def test_the_documented_arrays_of_values_are_those_written(finished: Folders, role: Role) -> None:
    with np.load(finished[role].values, allow_pickle=False) as arrays:
        keys = {key: array.shape for key, array in arrays.items()}
    of_attacks = {"samples", "AUDITOR/METRIC/NAME"}
    found = {{1: key, 2: "METRIC/NAME", 3: "AUDITOR/METRIC/NAME"}[key.count("/") + 1] for key in keys}
    assert found == documented("values.npz") - (set() if role == "attack" else of_attacks)
    of_samples = {key for key, shape in keys.items() if shape != keys["images"]}
    stamps = {key for key in keys if key.startswith("stamp_visibility/")}
    assert of_samples == {key for key in keys if key.count("/") == 2 or key == "samples"} | stamps


@pytest.mark.parametrize("role", ROLES)
def test_the_documented_keys_of_a_step_are_those_written(finished: Folders, role: Role) -> None:
    lines = [json.loads(line) for line in finished[role].steps.read_text().splitlines()]
    steps = [line for line in lines if "step" in line]
    validations = [line for line in lines if "validation" in line]
    assert all(set(step) == documented("steps.jsonl") for step in steps)
    assert all(set(line) == {"epoch", "validation"} for line in validations)
    names = {"accuracy", "attack_success_rate"} if role == "attack" else {"accuracy"}
    assert all(set(line["validation"]) == names for line in validations)
    assert len(steps) + len(validations) == len(lines)


@pytest.mark.parametrize("role", ROLES)
def test_the_report_reads_what_was_written(finished: Folders, role: Role) -> None:
    run = read_run(finished[role].path)
    assert run.done
    assert run.result.role == role
    assert (run.gallery is not None) == (role == "attack")
    assert len(run.validations) == 1
    assert run.environment["threads"] == 1
