"""Run folders on their way between machines that share no disk."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from falsewitness.benchmark._page_of_run import write_page_of
from falsewitness.core.component import strings_replaced
from falsewitness.core.files import move, remove, replacing
from falsewitness.core.plain_yaml import read_yaml
from falsewitness.experiment import STAGES, RunFolder, Spec, in_json
from falsewitness.report import read_result


@dataclass(frozen=True)
class Parcel:
    """A run folder's content.

    Attributes:
        name: Of the folder.
        files: Content by name.
        out: Where the folder of run folders was; None where no text names it.
        paths: Files that the spec names, by the name they had there, with the name they have at home.
    """

    name: str
    files: Mapping[str, bytes]
    out: str | None = None
    paths: Mapping[str, str] = field(default_factory=dict)


def packed(folder: Path, out: str, paths: Mapping[str, str]) -> Parcel:
    """Pack a run folder whole: all but locks and what was being written."""
    files = {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.endswith((".lock", ".partial"))
    }
    return Parcel(folder.name, files, out, paths)


def packed_model(folder: RunFolder) -> Parcel:
    """Pack what a model that stands on this one needs: its trained weights and all that is vouched for with them."""
    marker = folder.marker("train")
    names = {marker.path.name, *marker.files()}
    return Parcel(folder.path.name, {name: (folder.path / name).read_bytes() for name in sorted(names)})


def unpack(parcel: Parcel, out: Path) -> None:
    """Lay a run folder out anew, in an empty place."""
    folder = out / parcel.name
    folder.mkdir(parents=True)
    for name, content in parcel.files.items():
        (folder / name).write_bytes(content)


def bring_home(parcel: Parcel, folder: RunFolder) -> None:
    """Put a finished run folder that came from elsewhere in its place, and make its page there, beside its parents.

    Args:
        parcel: What came.
        folder: Where to; an earlier result stays until all files are on the disk. They take their places without
            markers, so that what is half in place is not taken for done.

    Raises:
        InputError: If the run cannot be read.
        RunFailedError: If a file cannot be written.
    """
    files = _at_home(parcel, str(folder.path.parent))
    markers = [folder.marker(stage).path.name for stage in STAGES]
    aside = folder.path / ".parcel.partial"
    try:
        for name, content in files.items():
            with replacing(aside / name) as temporary:
                temporary.write_bytes(content)
        for stage in STAGES:
            folder.marker(stage).remove()
        for name in sorted(files.keys() - markers) + [name for name in markers if name in files]:
            move(aside / name, folder.path / name)
    finally:
        remove(aside)
    remove(folder.checkpoint)
    folder.remove_references()  # they are of an earlier model
    if read_result(folder.path).role == "attack":
        write_page_of(folder)


def _at_home(parcel: Parcel, out: str) -> dict[str, bytes]:
    """Return the files as they would be had they been made at home; the markers vouch for them as they are then."""
    files = dict(parcel.files)
    spec = strings_replaced(read_yaml(files["spec.yaml"], "spec.yaml"), parcel.paths)
    files["spec.yaml"] = Spec.parse(spec, "spec.yaml").to_yaml().encode()
    if parcel.out is not None:
        result = json.loads(files["result.json"].replace(_within_json(parcel.out), _within_json(out)))
        # Which gives the run again, in a shell: the folder may have to be quoted here.
        words = shlex.split(json.loads(files["result.json"])["command"])
        result["command"] = shlex.join([word.replace(parcel.out, out) for word in words])
        files["result.json"] = in_json(result)
    changed = {name: sha256(files[name]).hexdigest() for name in ("spec.yaml", "result.json")}
    return {
        name: _vouching_for(changed, content) if name.startswith(".") else content for name, content in files.items()
    }


def _within_json(text: str) -> bytes:
    """Return text as it stands within a string."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def _vouching_for(changed: Mapping[str, str], marker: bytes) -> bytes:
    """Return a marker with the hashes of files that were changed."""
    record = json.loads(marker)
    record["files"] |= {name: digest for name, digest in changed.items() if name in record["files"]}
    return json.dumps(record, indent=1).encode()
