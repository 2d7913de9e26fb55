import errno
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from falsewitness.core import InputError, RunFailedError, SpecError
from falsewitness.data import DATA, CacheState, DataSource, describe_cache

DIGITS = [str(digit) for digit in range(10)]


def png(shade: int, mode: str, side: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (side, side), shade).convert(mode).save(stream, format="PNG")
    return stream.getvalue()


def write_set(
    folder: Path,
    splits: dict[str, list[int]],
    names: list[str] | None = DIGITS,
    mode: str = "L",
    side: int = 28,
    columns: tuple[str, str] = ("image", "label"),
) -> Path:
    """Write tiny splits in the hub's layout; an image's shade is ten times its label."""
    image, label = columns
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, labels in splits.items():
        images = [{"bytes": png(10 * max(value, 0), mode, side), "path": None} for value in labels]
        table = pa.table(
            {
                image: pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
                label: pa.array(labels, pa.int64()),
            }
        )
        if names is not None:
            features = datasets.Features({image: datasets.Image(), label: datasets.ClassLabel(names=names)})
            table = table.cast(features.arrow_schema)
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def _features(names: object) -> dict[str, Any]:
    """What a Parquet file says of its columns."""
    columns = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return {"info": {"features": columns}}


USUAL = {"train": [*range(10)] * 4, "test": [*range(10)] * 2}


def source(kind: str, **fields: Any) -> DataSource:  # noqa: ANN401
    return DATA.get(kind).parse({"kind": kind} | fields, "data")


def notices(data: DataSource) -> list[str]:
    said: list[str] = []
    data.prepare(said.append)
    return said


def assert_shades_are_labels(data: DataSource) -> None:
    dataset = data.prepare()
    for split in (dataset.train, dataset.validation, dataset.test):
        shades = np.asarray(split.images)[:, 0, 0, 0]
        assert (shades // 10).tolist() == split.targets.values.tolist()


def test_mnist_is_read_from_a_local_folder(tmp_path: Path) -> None:
    data = source("mnist", root=str(write_set(tmp_path / "set", USUAL)))
    dataset = data.prepare()
    assert dataset.info == data.info()
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (30, 10, 20)
    assert_shades_are_labels(data)


def test_the_shelf_of_local_data_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "shelf" / "mnist", USUAL)
    monkeypatch.setenv("FALSEWITNESS_DATA", str(tmp_path / "shelf"))
    assert_shades_are_labels(source("mnist"))


def test_a_shelf_that_is_no_folder_is_told_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALSEWITNESS_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"^\$FALSEWITNESS_DATA: expected a folder of data sets, got '.*/nowhere'; "):
        source("mnist").prepare()


def test_a_named_root_goes_before_the_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "shelf" / "mnist", USUAL)
    monkeypatch.setenv("FALSEWITNESS_DATA", str(tmp_path / "shelf"))
    more = {"train": [*range(10)] * 5, "test": [*range(10)]}
    assert len(source("mnist", root=str(write_set(tmp_path / "more", more))).prepare().test) == 10


def test_cifar10_has_three_channels_and_its_own_names(tmp_path: Path) -> None:
    names = list(source("cifar10").info().class_names)
    folder = write_set(tmp_path / "set", USUAL, names, mode="RGB", side=32, columns=("img", "label"))
    assert source("cifar10", root=str(folder)).prepare().test.images.shape == (20, 3, 32, 32)


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist", "cifar10"])
def test_shape_and_classes_of_a_well_known_set_are_known_without_it(kind: str) -> None:
    info = source(kind).info()
    assert info.num_classes == 10
    assert (info.channels, info.height) == ((3, 32) if kind == "cifar10" else (1, 28))


def test_a_set_of_another_kind_is_not_taken_for_mnist(tmp_path: Path) -> None:
    small = write_set(tmp_path / "small", USUAL, side=8)
    with pytest.raises(InputError, match=r"data 'mnist', split 'train', row 0: expected 28x28 pixels, got 8x8"):
        source("mnist", root=str(small)).prepare()
    letters = write_set(tmp_path / "letters", USUAL, names=list("abcdefghij"))
    with pytest.raises(InputError, match=r"expected the classes \('0', '1'.*got \('a', 'b'"):
        source("mnist", root=str(letters)).prepare()
    half = write_set(tmp_path / "half", {"train": USUAL["train"]})
    with pytest.raises(InputError, match=r"no split 'test'; expected a copy of ylecun/mnist"):
        source("mnist", root=str(half)).prepare()


def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    data = source("mnist", root=str(folder))
    data.prepare()
    write_set(folder, {"test": [*range(10)] * 3})
    assert "the source has changed: data/test-00000-of-00001.parquet" in notices(data)[0]
    assert len(data.prepare().test) == 30


def test_a_file_replaced_by_one_of_the_same_age_is_noticed(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    file = folder / "data" / "test-00000-of-00001.parquet"
    data = source("mnist", root=str(folder))
    data.prepare()
    before = file.stat()
    write_set(folder, {"test": [*range(10)] * 3})
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(data.prepare().test) == 30


def test_columns_of_a_hub_set_are_found_by_their_types(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL, names=list("abcdefghij"), columns=("photo", "species"))
    data = source("hub", root=str(folder), size=16)
    assert data.info().class_names == tuple("abcdefghij")
    assert data.prepare().info == data.info()
    assert data.prepare().test.images.shape == (20, 3, 16, 16)
    assert_shades_are_labels(data)


def test_columns_of_a_hub_set_can_be_named(tmp_path: Path) -> None:
    labels = {"train": [7, 3, 3, 7, 12, 12], "test": [3, 7, 12]}
    folder = write_set(tmp_path / "set", labels, names=None, columns=("photo", "species"))
    data = source("hub", root=str(folder), label_column="species")
    dataset = data.prepare()
    assert dataset.info.class_names == data.info().class_names == ("3", "7", "12")
    assert dataset.test.targets.values.tolist() == [0, 1, 2]


def test_a_hub_set_without_a_test_split_holds_one_out_and_says_so(tmp_path: Path) -> None:
    data = source("hub", root=str(write_set(tmp_path / "set", {"train": USUAL["train"]})), test_share=0.25)
    assert "held out 0.25 of every class to test on" in notices(data)[1]
    assert len(data.prepare().test) == 10


def test_a_test_split_can_be_set_aside(tmp_path: Path) -> None:
    data = source("hub", root=str(write_set(tmp_path / "set", USUAL)), test_split=None, test_share=0.25)
    assert len(data.prepare().test) == 10


@pytest.mark.parametrize(
    ("splits", "fields", "complaint"),
    [
        (USUAL, {"train_split": "training"}, r"no split 'training'; did you mean 'train'\?"),
        (USUAL, {"test_split": "tset"}, r"no split 'tset'; did you mean 'test'\?"),
        (
            USUAL,
            {"label_column": "lable"},
            r"no column 'lable' \(data.label_column\); did you mean 'label'\?",
        ),
        (
            USUAL,
            {"image_column": "picture"},
            r"no column 'picture' \(data.image_column\); expected one of image",
        ),
        (USUAL, {"label_column": "image"}, r"expected one label an image in column 'image'"),
        (USUAL | {"test": [-1] * 10}, {}, r"9, got -1 in row 0 of the test images and 9 more .*; .*hidden labels"),
    ],
)
def test_a_hub_set_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, splits: dict[str, list[int]], fields: dict[str, str], complaint: str
) -> None:
    folder = write_set(tmp_path / "set", splits)
    with pytest.raises(InputError, match=complaint) as error:
        source("hub", root=str(folder), **fields).prepare()
    assert "\n" not in str(error.value)


def test_two_label_columns_need_a_choice(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "fine": datasets.ClassLabel(names=["a", "b"]),
            "coarse": datasets.ClassLabel(names=["c", "d"]),
        }
    )
    rows = [{"image": {"bytes": png(0, "L", 4), "path": None}, "fine": 0, "coarse": 1}]
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist(rows * 4, schema=features.arrow_schema), tmp_path / "set" / "train.parquet")
    with pytest.raises(
        InputError, match=r"found fine, coarse among image, fine, coarse; let data.label_column name it"
    ):
        source("hub", root=str(tmp_path / "set")).info()


def test_a_missing_label_is_an_error(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    file = folder / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(file)
    labels = pa.array([0, *[None] * (len(table) - 1)], pa.int64())
    pq.write_table(table.set_column(1, table.schema.field("label"), labels), file)
    with pytest.raises(
        InputError, match=r"split 'test': 19 images have no label in column 'label', the first in row 1; name another"
    ):
        source("hub", root=str(folder)).prepare()


def damage(file: Path) -> None:
    file.write_bytes(b"PAR1 and nothing more")


def empty(file: Path) -> None:
    pq.write_table(pq.read_table(file).slice(0, 0), file)


def scramble_rows(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4:400] = bytes(396)
    file.write_bytes(content)


def drop_labels(file: Path) -> None:
    pq.write_table(pq.read_table(file).drop_columns(["label"]), file)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (damage, r"train-.*\.parquet: cannot be read as a Parquet file: .*; copy it anew"),
        (empty, r"train-.*\.parquet: expected images, found no row; copy it anew"),
        (drop_labels, r"test-.*\.parquet: expected no columns but those of .*train-.* \(image\), got label, too; copy"),
        (scramble_rows, r"train-.*\.parquet: damaged, its rows cannot be read: .*; copy it anew, or take it away"),
    ],
)
def test_a_set_with_a_bad_file_is_an_error_of_one_line_and_nothing_else_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], change: Callable[[Path], None], complaint: str
) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    change(folder / "data" / "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match=complaint) as error:
        source("mnist", root=str(folder)).prepare()
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("names", [DIGITS[::-1], DIGITS[:9], [*DIGITS, "10"]])
def test_splits_whose_classes_differ_are_refused(tmp_path: Path, names: list[str]) -> None:
    folder = write_set(tmp_path / "set", {"train": USUAL["train"]})
    write_set(folder, {"test": [0, 1, 2]}, names=names)
    with pytest.raises(InputError, match=r"test-.*: expected the classes of .*train-.* in column 'label' \(0, 1, 2"):
        source("hub", root=str(folder)).prepare()


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    whole = folder / "data" / "train-00000-of-00001.parquet"
    for number in (0, 2):
        (folder / "data" / f"train-{number:05}-of-00003.parquet").write_bytes(whole.read_bytes())
    whole.unlink()
    with pytest.raises(InputError, match=r"train-00001-of-00003.parquet: missing beside .*-00000-of-00003.parquet"):
        source("hub", root=str(folder)).prepare()


def test_a_split_without_labels_that_is_not_read_is_no_fault(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {**USUAL, "validation": USUAL["test"]})
    drop_labels(folder / "data" / "test-00000-of-00001.parquet")
    assert_shades_are_labels(source("hub", root=str(folder), test_split="validation", channels=1, size=28))


def test_links_to_the_files_that_the_hubs_programs_download_are_followed(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "datasets--x--y" / "snapshots" / "abc", tmp_path / "datasets--x--y" / "blobs"
    blobs.mkdir(parents=True)
    for label in range(4):
        for number in range(4):
            (blobs / f"{label}-{number}").write_bytes(png(10 * label, "L", 28))
            link = snapshot / "train" / str(label) / f"{number}.png"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blobs / f"{label}-{number}")
    assert_shades_are_labels(source("hub", root=str(snapshot), channels=1, size=28))


@pytest.mark.parametrize("change", [drop_labels, scramble_rows])
def test_a_bad_file_does_not_abort_the_process(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    change(folder / "data" / "train-00000-of-00001.parquet")
    program = f"from falsewitness.data import DATA; DATA.get('mnist')(root={str(folder)!r}).prepare()"
    environment = {**os.environ, "FALSEWITNESS_CACHE": str(tmp_path / "cache")}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), "with a traceback, not by a signal"
    assert "terminate" not in done.stderr
    assert "InputError: " in done.stderr.splitlines()[-1]


def test_a_row_that_names_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    (tmp_path / "secret.png").write_bytes(png(0, "L", 28))
    name_file_in_row(folder, 5, str(tmp_path / "secret.png"))
    with pytest.raises(InputError, match=r"split 'test', row 5: names the file .*secret.png, out of .*set; put the"):
        source("mnist", root=str(folder)).prepare()


def test_a_row_that_names_what_no_file_can_be_called_is_refused(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    name_file_in_row(folder, 5, "a\0b")
    with pytest.raises(InputError, match=r"split 'test', row 5: expected an encoded image or its path, got 'a\\x00b'"):
        source("mnist", root=str(folder)).prepare()


def test_a_name_that_is_no_text_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).touch()
    with pytest.raises(InputError, match=r"expected names in UTF-8, got b'.*caf\\xe9\.txt'; rename it"):
        source("mnist", root=str(folder)).prepare()


def test_a_full_disk_is_not_blamed_on_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_set(tmp_path / "set", USUAL)

    def fill(*_: object, **__: object) -> None:
        full = OSError(errno.ENOSPC, "No space left on device")
        raise datasets.exceptions.DatasetGenerationError("An error occurred") from full

    monkeypatch.setattr(datasets, "load_dataset", fill)
    with pytest.raises(RunFailedError, match="cannot be written: No space left on device; make room there, or let"):
        source("mnist", root=str(folder)).prepare()
    with pytest.raises(RunFailedError, match="cannot be written: No space left on device; make room there and in the"):
        source("hub", root=str(folder)).info()


def test_a_machine_without_a_temporary_folder_is_told_to_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    data = source("hub", root=str(write_set(tmp_path / "set", USUAL)))
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(RunFailedError, match="cannot be written: No usable temporary directory found; make room"):
        data.info()


def test_a_lack_of_memory_is_not_blamed_on_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_set(tmp_path / "set", USUAL)

    def exhaust(*_: object, **__: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 9 failed")

    monkeypatch.setattr(datasets, "load_dataset", exhaust)
    with pytest.raises(MemoryError, match="malloc of size 9 failed"):
        source("mnist", root=str(folder)).prepare()


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (
            {"info": {"features": 3}},
            r"train-.*\.parquet: what it says of its columns cannot be understood: TypeError: ",
        ),
        ({"info": None}, r"train-.*\.parquet: what it says of its columns cannot be understood: TypeError: "),
        ({"info": {"features": {"image": "Image"}}}, r"what it says of its columns cannot be understood: "),
        (_features(3), r"what it says of its columns cannot be understood: TypeError: Please provide names as a list"),
        (_features(["a", 1, None]), r"names of 2 classes or more in column 'label', got \['a', 1, None\]; mend what"),
        (_features([]), r"expected the names of 2 classes or more in column 'label', got none; mend what the set says"),
    ],
)
def test_a_set_that_says_nonsense_of_its_columns_is_refused_in_one_line(
    tmp_path: Path, said: object, complaint: str
) -> None:
    folder = write_set(tmp_path / "set", {"train": [0, 1] * 10}, None)
    file = folder / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(said)}), file)
    with pytest.raises(InputError, match=complaint) as error:
        source("hub", root=str(folder)).prepare()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.md", b"---\nconfigs: [\n---\n"),
        ("dataset_infos.json", b"[1]"),
        ("dataset_infos.json", b'{"default": 3}'),
        ("train.tar", b"no archive" * 100),
    ],
)
def test_a_broken_file_about_a_set_is_told_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    folder = tmp_path / "set" if name == "train.tar" else write_set(tmp_path / "set", USUAL)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=r"set: cannot be read as a data set: .*; mend it, or copy it anew") as error:
        source("hub", root=str(folder)).prepare()
    assert "\n" not in str(error.value)


def test_a_row_may_name_a_file_of_its_set(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", USUAL)
    (folder / "own.png").write_bytes(png(50, "L", 28))
    name_file_in_row(folder, 5, str(folder / "own.png"))
    assert_shades_are_labels(source("mnist", root=str(folder)))


def name_file_in_row(folder: Path, row: int, path: str) -> None:
    """Let a row of the test split name a file in place of holding an image."""
    file = folder / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(file)
    field = table.schema.field("image")
    images = table.column("image").to_pylist()
    images[row] = {"bytes": None, "path": path}
    pq.write_table(table.set_column(0, field, pa.array(images, field.type)), file)


def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data.root: no folder .*nowhere; expected a copy of ylecun/mnist"):
        source("mnist", root=str(tmp_path / "nowhere")).prepare()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"^data.root: no files in .*empty; expected a copy of ylecun/mnist"):
        source("mnist", root=str(tmp_path / "empty")).prepare()


def test_a_hub_set_needs_a_name_or_a_root() -> None:
    with pytest.raises(SpecError, match="expected the name of a set on the hub, or the root of a local one"):
        source("hub")
    with pytest.raises(SpecError, match="name: expected a set's name on the hub as owner/name, got 'parquet'"):
        source("hub", name="parquet")
    with pytest.raises(SpecError, match="expected another test_split than train_split, got 'train' for both"):
        source("hub", name="owner/set", test_split="train")


def test_nothing_is_decoded_to_describe_the_cache(tmp_path: Path) -> None:
    data = source("mnist", root=str(write_set(tmp_path / "set", USUAL)))
    assert describe_cache(data).state is CacheState.ABSENT
    assert not describe_cache(data).folder.exists()
