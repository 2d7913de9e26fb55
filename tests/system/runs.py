"""The small runs that tests of faults disturb, and whether a disturbed one is the same as an undisturbed one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tests.system.conftest import SMALL, SMALL_CLEAN

RUN = ("run", "digits/badnets", *SMALL)
CLEAN_RUN = ("run", "digits/clean", *SMALL_CLEAN)

_VARY = {"training_seconds", "images_per_second", "peak_memory_mb", "evaluation_seconds"}
_ARCHIVES = ("values.npz", "maps.npz", "gallery.npz")
_AS_THEY_ARE = ("model.safetensors", "steps.jsonl", "plan.parquet", "spec.yaml")


def folders_of(runs: Path) -> list[Path]:
    """The run folders among what lies there, such as what a benchmark keeps beside them."""
    return [folder for folder in sorted(runs.iterdir()) if folder.name not in (".claims", "bench")]


def contents_of(runs: Path) -> dict[str, object]:
    """Everything that runs came to, by folder and file: every bit of it, but for how long it took."""
    found: dict[str, object] = {}
    for folder in folders_of(runs):
        for name in _AS_THEY_ARE:
            found[f"{folder.name}/{name}"] = (folder / name).read_bytes()
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        result["cost"] = {key: value for key, value in result["cost"].items() if key not in _VARY}
        found[f"{folder.name}/result.json"] = result
        for name in _ARCHIVES:
            if (folder / name).exists():
                found |= {f"{folder.name}/{name}/{key}": value for key, value in _arrays(folder / name).items()}
    return found


def _arrays(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    with np.load(path, allow_pickle=False) as file:
        return {key: (array.dtype.str, array.shape, array.tobytes()) for key, array in file.items()}


def assert_same_runs(runs: Path, undisturbed: Path) -> None:
    """Assert that every bit is the same, that everything is vouched for, and that nothing is left lying about."""
    expected, found = contents_of(undisturbed), contents_of(runs)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    for folder in folders_of(runs):
        assert _files_of(folder) == _files_of(undisturbed / folder.name), folder


def _files_of(folder: Path) -> set[str]:
    """What a run leaves for good; pages are written by whoever reports, reference maps are kept where they can be."""
    return {file.name for file in folder.iterdir() if file.name != "report.html" and "references-" not in file.name}


def vouched_for(runs: Path) -> dict[str, tuple[int, int]]:
    """The files of finished stages, markers included, as they were written last."""
    markers = list(runs.glob("*/.*-done.json"))
    names = {f"{marker.parent.name}/{name}" for marker in markers for name in json.loads(marker.read_text())["files"]}
    names |= {f"{marker.parent.name}/{marker.name}" for marker in markers}
    return {name: version for name, version in written_by(runs).items() if name in names}


def written_by(runs: Path) -> dict[str, tuple[int, int]]:
    """When each file was written last, and which file it was; a lock is touched by whoever looks."""
    files = [file for file in runs.rglob("*") if file.is_file() and not file.name.endswith((".lock", "report.html"))]
    return {str(file.relative_to(runs)): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}
