import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falsewitness.core import InputError
from falsewitness.data import DATA, CacheState, DataSource, describe_cache

SHADES = {"bird": 50, "ant": 100, "cat": 200}
COUNT = {"train": 4, "test": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for split, count in COUNT.items():
        for name, shade in SHADES.items():
            for index in range(count):
                picture(folder / split / name / f"{index}.png", shade + index)
    return folder


def picture(file: Path, shade: int, size: tuple[int, int] = (6, 4)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, shade, shade)).save(file)


def source(root: Path, **fields: object) -> DataSource:
    return DATA.get("image_folder").parse({"kind": "image_folder", "root": str(root), "size": 8} | fields, "data")


def notices(data: DataSource) -> list[str]:
    said: list[str] = []
    data.prepare(said.append)
    return said


def test_classes_are_the_sorted_folders_of_train(root: Path) -> None:
    info = source(root).info()
    assert info.class_names == ("ant", "bird", "cat")
    assert (info.channels, info.height, info.width) == (3, 8, 8)


def test_info_decodes_nothing(root: Path) -> None:
    for file in root.rglob("*.png"):
        file.write_bytes(b"no image")
    assert source(root).info().num_classes == 3


def test_pictures_get_the_class_of_their_folder_and_the_split_too(root: Path) -> None:
    dataset = source(root).prepare()
    for split, count in ((dataset.train, 9), (dataset.validation, 3), (dataset.test, 6)):
        assert len(split) == count
        shades = np.asarray(split.images)[:, 0, 0, 0] // 50 * 50
        assert shades.tolist() == [[100, 50, 200][label] for label in split.targets.values]


def test_grey_pictures_have_one_channel(root: Path) -> None:
    assert np.asarray(source(root, channels=1).prepare().test.images).shape == (6, 1, 8, 8)


def test_another_size_is_another_copy(root: Path) -> None:
    small, large = source(root), source(root, size=12)
    assert large.prepare().test.images.shape == (6, 3, 12, 12)
    assert small.prepare().test.images.shape == (6, 3, 8, 8)
    assert describe_cache(large).state is CacheState.WHOLE


def test_without_a_test_folder_a_share_of_every_class_is_held_out(root: Path) -> None:
    (root / "test").rename(root / "unused")
    dataset = source(root, test_share=0.5).prepare()
    assert np.bincount(dataset.test.targets.values.numpy()).tolist() == [2, 2, 2]
    assert len(dataset.train) + len(dataset.validation) == 6


def test_a_picture_added_changed_or_removed_is_noticed(root: Path) -> None:
    data = source(root)
    data.prepare()
    picture(root / "train" / "ant" / "new.png", 3)
    assert "the source has changed: train/ant/new.png" in notices(data)[0]
    picture(root / "test" / "cat" / "0.png", 3, size=(60, 40))
    assert "the source has changed: test/cat/0.png" in notices(data)[0]
    (root / "train" / "bird" / "1.png").unlink()
    (root / "train" / "bird" / "2.png").unlink()
    assert "the source has changed: train/bird/1.png and 1 more" in notices(data)[0]
    assert notices(data) == []


def test_what_is_left_out_is_said(root: Path) -> None:
    for name in ("train/notes.txt", "train/ant/.hidden.png", "train/ant/Thumbs.db", "test/cat/more.txt"):
        (root / name).write_text("no image")
    (root / "train" / ".checkpoints").mkdir()
    (root / "test" / "cat" / ".checkpoints").mkdir()
    data = source(root)
    said = notices(data)[1]
    assert "left out 6 files or folders: 2 hidden folders, 2 .txt, 1 hidden file, 1 .db" in said
    assert len(data.prepare().test) == 6


def test_upper_case_extensions_are_images(root: Path) -> None:
    (root / "test" / "ant" / "0.png").rename(root / "test" / "ant" / "0.PNG")
    assert len(source(root).prepare().test) == 6


def test_a_link_within_the_folder_is_followed(root: Path) -> None:
    (root / "test" / "ant" / "again.png").symlink_to(root / "train" / "ant" / "0.png")
    assert len(source(root).prepare().test) == 7


def remove_train(root: Path) -> None:
    (root / "train").rename(root / "training")


def leave_one_class(root: Path) -> None:
    for name in ("ant", "bird"):
        (root / "train" / name).rename(root / name)


def empty_a_class(root: Path) -> None:
    (root / "train" / "dodo").mkdir()


def empty_a_test_class(root: Path) -> None:
    for file in (root / "test" / "cat").iterdir():
        file.unlink()


def add_a_test_class(root: Path) -> None:
    picture(root / "test" / "dodo" / "0.png", 9)


def nest_a_folder(root: Path) -> None:
    picture(root / "train" / "ant" / "more" / "0.png", 9)


def link_a_file_out(root: Path) -> None:
    picture(root.parent / "secret.png", 9)
    (root / "train" / "ant" / "link.png").symlink_to(root.parent / "secret.png")


def link_a_class_out(root: Path) -> None:
    picture(root.parent / "secrets" / "0.png", 9)
    (root / "train" / "dodo").symlink_to(root.parent / "secrets")


def link_nowhere(root: Path) -> None:
    (root / "train" / "ant" / "link.png").symlink_to(root / "nothing")


def link_to_itself(root: Path) -> None:
    (root / "train" / "ant" / "link.png").symlink_to(root / "train" / "ant" / "link.png")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (remove_train, r"no folder .*train; expected images in .*train/CLASS"),
        (leave_one_class, r"expected at least 2 folders in .*train, one a class, got 1"),
        (empty_a_class, r"class 'dodo' has no images in .*train/dodo"),
        (empty_a_test_class, r"class 'cat' has no images in .*test/cat"),
        (add_a_test_class, r"class 'dodo' is in .*test but not in .*train"),
        (nest_a_folder, r"found a folder within a class: .*train/ant/more"),
        (link_a_file_out, r"the link .*link.png leads to .*/secret.png, out of"),
        (link_a_class_out, r"the link .*dodo leads to .*/secrets, out of"),
        (link_nowhere, r"the link .*link.png leads nowhere"),
        (link_to_itself, r"the link .*link.png leads nowhere"),
    ],
)
def test_a_folder_of_another_layout_is_refused_in_one_line(
    root: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    spoil(root)
    with pytest.raises(InputError, match=rf"^data\.root: .*{complaint}") as error:
        source(root).prepare()
    assert "\n" not in str(error.value)


def test_all_that_is_wrong_with_a_layout_is_told_at_once(root: Path) -> None:
    for spoil in (empty_a_class, empty_a_test_class, add_a_test_class, nest_a_folder, link_a_file_out):
        spoil(root)
    (root / "test" / "dodo").rename(root / "test" / "emu")
    (root / "train" / "bird" / "away.png").symlink_to(root / "nothing")
    Path(os.fsdecode(os.fsencode(root) + b"/train/bird/caf\xe9.png")).touch()
    with pytest.raises(InputError, match="has 7 faults:") as error:
        source(root).prepare()
    told = "\n".join(error.value.lines)
    for words in (
        f"class 'dodo' has no images in {root}/train/dodo",
        f"class 'cat' has no images in {root}/test/cat",
        f"class 'emu' is in {root}/test but not in {root}/train",
        f"found a folder within a class: {root}/train/ant/more",
        f"the link {root}/train/ant/link.png leads to",
        f"the link {root}/train/bird/away.png leads nowhere",
        "expected names in UTF-8, got b'",
    ):
        assert words in told


def test_a_file_that_never_ends_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "train" / "ant" / "pipe.png")
    assert "left out 1 file or folder: 1 pipe or device" in notices(source(root))[1]


def test_a_damaged_picture_is_named_with_its_path(root: Path) -> None:
    (root / "train" / "bird" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    with pytest.raises(InputError, match=r"train/bird/1\.png: "):
        source(root).prepare()


def test_the_order_of_the_files_on_the_disk_does_not_matter(root: Path, tmp_path: Path) -> None:
    for file in sorted(root.rglob("*.png"), reverse=True):
        copy = tmp_path / "copy" / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    assert source(tmp_path / "copy").prepare().fingerprint == source(root).prepare().fingerprint


def test_all_damaged_pictures_are_named_at_once(root: Path) -> None:
    bad = [root / "train" / name / "1.png" for name in SHADES] + [root / "test" / "cat" / "0.png"]
    for file in bad:
        file.write_bytes(b"no image")
    with pytest.raises(InputError, match="the set of 18 images has 4 faults:") as caught:
        source(root).prepare()
    told = caught.value.lines[1:]
    assert [line.partition(": ")[0].strip() for line in told] == [str(file) for file in sorted(bad[:3]) + bad[3:]]
    assert describe_cache(source(root)).state is CacheState.ABSENT


def test_of_many_kinds_that_are_left_out_the_last_are_counted(root: Path) -> None:
    for name in ("a.txt", "b.txt", "c.csv", "d.db", "e.json", "f.svg", "g.heic", "h.heic"):
        (root / "train" / name).write_text("no image")
    assert "left out 8 files or folders: 2 .txt, 2 .heic, 1 .csv, 1 .db, 1 .json and 1 more" in notices(source(root))[1]


def test_a_set_of_bad_pictures_is_not_looked_through_to_its_end(root: Path) -> None:
    for number in range(4000):
        (root / "train" / "ant" / f"bad-{number}.png").write_bytes(b"no image")
    with pytest.raises(
        InputError, match=r"the set of 4018 images, of which \d+ were looked at, has \d+ faults:"
    ) as caught:
        source(root).prepare()
    assert caught.value.lines[-1].startswith("  ... and ")


def test_images_beside_the_class_folders_are_called_so(root: Path) -> None:
    for name in ("a.png", "b.PNG"):
        picture(root / "train" / name, 3)
    assert "left out 2 files or folders: 2 images beside the class folders" in notices(source(root))[1]
