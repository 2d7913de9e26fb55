import importlib
import json
import os
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import Literal

import numpy as np
import pytest

from falsewitness.core import DataInfo, InputError, PathLike, RunFailedError
from falsewitness.data import CacheState, DataSource, Origin, Records, SelfSplitSource, describe_cache
from falsewitness.data._cache import sole_writer
from falsewitness.data._records import stamp

PER_CLASS = 20
CLASSES = ("ant", "bee", "cat")


class Painted(SelfSplitSource):
    """Images painted in the shade that a file names; every image differs."""

    kind: Literal["painted"] = "painted"
    root: PathLike
    names: tuple[str, ...] = CLASSES
    test_rows: int = 12
    broken: bool = False

    def _info(self) -> DataInfo:
        return DataInfo(1, 4, 5, self.names)

    def _origin(self) -> Origin:
        return Origin(str(self.root), {"shade.txt": stamp(self.root / "shade.txt")})

    def _read(self, scratch: Path) -> Records:
        assert not list(scratch.iterdir())
        (scratch / "left over").touch()
        shade = int((self.root / "shade.txt").read_text())

        def decode(row: int) -> np.ndarray:
            if self.broken and row == 3:
                raise InputError("image 3 is broken")
            return np.full((1, 4, 5), shade + row, dtype=np.uint8)

        labels = np.arange(PER_CLASS * len(self.names)) % len(self.names)
        return Records(self._info(), labels, len(labels) - self.test_rows, decode, remarks=("freshly painted",))


@pytest.fixture
def source(tmp_path: Path) -> Painted:
    return painted(tmp_path / "here")


def painted(folder: Path, shade: int = 7) -> Painted:
    folder.mkdir(exist_ok=True)
    (folder / "shade.txt").write_text(str(shade))
    return Painted(root=folder)


def notices(source: DataSource) -> list[str]:
    said: list[str] = []
    source.prepare(said.append)
    return said


def copies(cache: Path) -> list[str]:
    """The names of whole, unfinished and abandoned copies; a lock stays for good."""
    return [path.name for path in (cache / "data").iterdir() if path.suffix != ".lock"]


def test_the_second_opening_decodes_nothing(source: Painted) -> None:
    first, second = notices(source), notices(source)
    assert len(first) == 2
    assert "not decoded yet" in first[0]
    assert first[1] == "data 'painted': freshly painted"
    assert second == []


SOURCE_FROM_ELSEWHERE = """
from typing import Literal

import numpy as np

from falsewitness.core import DataInfo
from falsewitness.data import DataSource, Origin, Records


class Mine(DataSource):
    kind: Literal["mine"] = "mine"

    def _info(self):
        return DataInfo(1, 4, 5, ("a", "b"))

    def _origin(self):
        return Origin("nowhere")

    def _read(self, scratch):
        return Records(self._info(), np.arange(40) % 2, 20, lambda row: np.full((1, 4, 5), {shade}, dtype=np.uint8))
"""


def test_the_code_of_a_source_from_elsewhere_decides_its_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    shades = []
    for shade in (3, 250):
        (tmp_path / "source_from_elsewhere.py").write_text(SOURCE_FROM_ELSEWHERE.format(shade=shade))
        monkeypatch.delitem(sys.modules, "source_from_elsewhere", raising=False)
        importlib.invalidate_caches()
        shades.append(int(importlib.import_module("source_from_elsewhere").Mine().prepare().train.images[0].max()))
    assert shades == [3, 250]


def test_progress_counts_up_to_all_images(source: Painted) -> None:
    steps: list[tuple[int, int]] = []
    source.prepare(progress=lambda done, of: steps.append((done, of)))
    assert steps[-1] == (60, 60)
    assert steps == sorted(steps)


def test_the_images_stay_on_the_disk(source: Painted) -> None:
    images = source.prepare().train.images
    base = images._cached  # type: ignore[union-attr]
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)


@pytest.mark.parametrize(
    "field", [{"split_seed": 3}, {"validation_share": 0.3}, {"train_limit": 6}, {"test_share": 0.4}]
)
def test_what_decides_the_split_does_not_decode_anew(source: Painted, field: dict[str, float]) -> None:
    source.prepare()
    assert notices(source.model_copy(update=field)) == []


def test_a_changed_source_is_noticed_and_decoded_anew(source: Painted) -> None:
    before = source.prepare()
    painted(source.root, shade=100)
    assert describe_cache(source).state is CacheState.STALE
    assert "the source has changed: shade.txt" in notices(source)[0]
    after = source.prepare()
    assert after.fingerprint != before.fingerprint
    assert np.asarray(after.train.images).min() == 100 + after.train.rows.min()


def test_images_that_are_open_survive_a_rebuilt_cache(source: Painted) -> None:
    before = source.prepare()
    painted(source.root, shade=100)
    source.prepare()
    assert np.asarray(before.train.images)[0, 0, 0, 0] == 7 + before.train.rows[0]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip_last_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def replace_by_pipe(file: Path) -> None:
    """Put something there that a reader would wait for without end."""
    file.unlink()
    os.mkfifo(file)


def rename_a_class(file: Path) -> None:
    file.write_text(file.read_text().replace('"ant"', '"elk"'))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("images.npy", cut),
        ("images.npy", flip_last_byte),
        ("images.npy", empty),
        ("images.npy", Path.unlink),
        ("labels.npy", flip_last_byte),
        ("labels.npy", Path.unlink),
        ("manifest.json", cut),
        ("manifest.json", empty),
        ("manifest.json", rename_a_class),
        ("manifest.json", Path.unlink),
        *((name, replace_by_pipe) for name in ("images.npy", "labels.npy", "manifest.json")),
    ],
)
def test_a_damaged_cache_is_noticed_and_rebuilt(source: Painted, name: str, damage: object) -> None:
    before = source.prepare()
    file = describe_cache(source).folder / name
    damage(file)  # type: ignore[operator]

    report = describe_cache(source)
    assert report.state is CacheState.DAMAGED
    assert name in report.detail
    assert name in notices(source)[0]
    assert describe_cache(source).state is CacheState.WHOLE
    assert source.prepare().fingerprint == before.fingerprint


def test_no_flipped_byte_of_what_stands_beside_the_images_goes_into_the_data(source: Painted) -> None:
    source.prepare()
    whole = describe_cache(source).data
    assert whole is not None
    file = describe_cache(source).folder / "manifest.json"
    content = file.read_bytes()
    found: Counter[CacheState] = Counter()
    for place in range(len(content)):
        for bit in (1, 2, 16):
            file.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            report = describe_cache(source)
            found[report.state] += 1
            # Where the images came from is kept for people; all else is noticed.
            told_for_people = {"location", "revision"}
            if report.data is not None:
                same = report.data.manifest.model_copy(
                    update={name: getattr(whole.manifest, name) for name in told_for_people}
                )
                assert same == whole.manifest
    assert found[CacheState.DAMAGED] > 2 * len(content)
    assert found[CacheState.STALE] > 0


@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
def test_no_flipped_byte_of_an_arrays_header_goes_into_the_data(source: Painted, name: str) -> None:
    source.prepare()
    whole = describe_cache(source).data
    assert whole is not None
    file = describe_cache(source).folder / name
    content = file.read_bytes()
    found: Counter[CacheState] = Counter()
    for place in range(content.index(b"\n")):
        for bit in (1, 2, 16):
            file.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            report = describe_cache(source)
            found[report.state] += 1
            if report.data is not None:  # another sign may mean the same: '=i8' is '<i8' here
                assert np.array_equal(report.data.images, whole.images)
                assert np.array_equal(report.data.labels, whole.labels)
                assert report.data.manifest == whole.manifest
    assert found[CacheState.DAMAGED] > 100


def test_arrays_of_another_type_are_no_cache(source: Painted) -> None:
    source.prepare()
    folder = describe_cache(source).folder
    np.save(folder / "images.npy", np.array([{"code": "that would run"}]), allow_pickle=True)
    assert describe_cache(source).state is CacheState.DAMAGED


def test_the_report_tells_what_is_there(source: Painted) -> None:
    assert describe_cache(source).state is CacheState.ABSENT
    dataset = source.prepare()
    report = describe_cache(source)
    assert report.state is CacheState.WHOLE
    assert str(report).startswith("whole: 60 images 1x4x5, 3 classes, " + dataset.fingerprint[:12])


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(source: Painted, tmp_path: Path) -> None:
    original = source.prepare().fingerprint
    elsewhere = painted(tmp_path / "elsewhere")
    assert elsewhere.prepare().fingerprint == original
    assert describe_cache(elsewhere).folder != describe_cache(source).folder
    assert elsewhere.model_copy(update={"names": ("ant", "bee", "cow")}).prepare().fingerprint != original
    assert elsewhere.model_copy(update={"test_rows": 9}).prepare().fingerprint != original
    assert painted(tmp_path / "elsewhere", shade=8).prepare().fingerprint != original


def test_a_broken_source_leaves_nothing_behind(source: Painted, cache: Path) -> None:
    with pytest.raises(InputError, match="image 3 is broken"):
        source.model_copy(update={"broken": True}).prepare()
    assert copies(cache) == []


def test_a_source_that_paints_another_shape_than_it_says_is_caught(source: Painted) -> None:
    class Taller(Painted):
        def _info(self) -> DataInfo:
            return DataInfo(1, 9, 5, self.names)

        def _read(self, scratch: Path) -> Records:
            records = super()._read(scratch)
            return Records(self._info(), records.labels, 48, lambda row: np.zeros((1, 4, 5), np.uint8))

    with pytest.raises(ValueError, match=r"expected uint8 pixels of shape \(1, 9, 5\), got uint8 \(1, 4, 5\)"):
        Taller(root=source.root).prepare()


def test_a_label_outside_the_classes_is_caught(source: Painted) -> None:
    class Mislabelled(Painted):
        def _read(self, scratch: Path) -> Records:
            records = super()._read(scratch)
            return Records(records.info, records.labels + (records.labels == 2), 48, records.decode)

    with pytest.raises(
        InputError,
        match=r"labels from 0 to 2, got 3 in row \d+ of the training images and \d+ more of that kind; correct them",
    ):
        Mislabelled(root=source.root).prepare()


def test_many_at_once_leave_one_whole_cache(source: Painted, cache: Path) -> None:
    source.prepare()
    flip_last_byte(describe_cache(source).folder / "images.npy")
    with ThreadPoolExecutor(8) as pool:
        datasets = list(pool.map(lambda _: source.prepare(), range(8)))
    assert len({dataset.fingerprint for dataset in datasets}) == 1
    assert copies(cache) == [describe_cache(source).folder.name]
    assert describe_cache(source).state is CacheState.WHOLE


def test_what_another_process_is_decoding_is_waited_for_and_not_decoded_again(source: Painted) -> None:
    folder, said = describe_cache(source).folder, Queue[str]()
    with ThreadPoolExecutor(1) as pool, sole_writer(folder, pytest.fail):
        waiting = pool.submit(source.prepare, said.put)
        assert said.get(timeout=60) == f"waiting for another process that decodes {folder}"
        finished = source._decoded(source._origin(), folder, said.put, None)
        written = (folder / "images.npy").stat().st_ino
        said = Queue()
    assert finished.data is not None
    assert waiting.result().fingerprint == finished.data.manifest.fingerprint
    assert said.empty()
    assert (folder / "images.npy").stat().st_ino == written


def test_what_a_killed_process_left_is_removed(source: Painted, cache: Path) -> None:
    folder = describe_cache(source).folder
    unfinished = folder.with_name(f".{folder.name}.partial")
    (unfinished / "copy").mkdir(parents=True)
    (unfinished / "copy" / "images.npy").touch()
    source.prepare()
    assert not unfinished.exists()


def test_a_place_that_cannot_be_written_is_named(source: Painted, cache: Path) -> None:
    cache.write_text("a file, where a folder should be")
    with pytest.raises(RunFailedError, match=r"cannot be written: .*FALSEWITNESS_CACHE"):
        source.prepare()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_an_error_of_one_line_and_leaves_nothing(source: Painted, cache: Path) -> None:
    with (
        files_of_at_most(1000),
        pytest.raises(RunFailedError, match=r"^'.*' cannot be written: .*make room there"),
    ):
        source.prepare()
    assert copies(cache) == []


def test_a_cache_that_vanishes_as_it_is_written_is_no_endless_loop(
    source: Painted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_nothing(*_: object) -> None: ...

    monkeypatch.setattr("falsewitness.data._base.write_cache", write_nothing)
    with pytest.raises(RunFailedError, match="cannot be used: absent"):
        source.prepare()


def test_the_cache_can_be_read_by_others_than_this_package(source: Painted) -> None:
    dataset = source.prepare()
    folder = describe_cache(source).folder
    manifest = json.loads((folder / "manifest.json").read_text())
    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    assert manifest["fingerprint"] == dataset.fingerprint
    assert manifest["class_names"] == list(CLASSES)
    assert images.shape == (60, 1, 4, 5)
    assert labels.tolist() == [row % 3 for row in range(60)]


def test_removing_the_cache_costs_nothing_but_time(source: Painted, cache: Path) -> None:
    before = source.prepare()
    shutil.rmtree(cache)
    assert source.prepare().fingerprint == before.fingerprint
