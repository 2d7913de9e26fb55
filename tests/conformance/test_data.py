"""Every data source keeps the contract, wherever its images are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from falsewitness.core import InputError
from falsewitness.data import DATA, Dataset, PixelStore

SHARED = Path(os.environ.get("FALSEWITNESS_DATA", Path(__file__).parents[3] / "shared" / "data"))


def folder_of_images(root: Path) -> Path:
    """Write ten small images for each of two classes, six to train on."""
    generator = np.random.default_rng(0)
    for number in range(20):
        split = "train" if number % 10 < 6 else "test"
        place = root / split / ("even" if number < 10 else "odd")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(place / f"{number}.png")
    return root


def prepared(kind: str, tmp_path: Path, split_seed: int = 0) -> Dataset:
    """Return the data of a kind, or skip where its images are not at hand."""
    raw: dict[str, object] = {"kind": kind, "split_seed": split_seed, "validation_share": 0.2}
    if kind == "image_folder":
        raw |= {"root": folder_of_images(tmp_path / "photos"), "size": 16}
    elif kind in ("mnist", "cifar10") and (SHARED / kind).is_dir():
        pytest.skip(f"{kind} is decoded by the slow tests of real data")
    try:
        return DATA.get(kind).parse(raw, kind).prepare()
    except InputError as error:
        pytest.skip(f"{kind} is not at hand: {error}")


@pytest.mark.parametrize("kind", DATA.kinds())
def test_a_source_gives_what_it_announces_split_without_overlap(kind: str, tmp_path: Path) -> None:
    dataset = prepared(kind, tmp_path)
    splits = (dataset.train, dataset.validation, dataset.test)
    rows = np.concatenate([split.rows for split in splits])
    assert len(np.unique(rows)) == len(rows)
    for split in splits:
        images = PixelStore(split).take(torch.arange(len(split)))
        assert images.shape == (len(split), dataset.info.channels, dataset.info.height, dataset.info.width)
        assert 0 <= images.min() < images.max() <= 1
        classes = split.targets.main_class()
        assert set(classes.tolist()) == set(range(dataset.info.num_classes))


@pytest.mark.parametrize("kind", DATA.kinds())
def test_the_split_hangs_on_its_own_seed_and_the_content_does_not(kind: str, tmp_path: Path) -> None:
    first, again, other = (prepared(kind, tmp_path, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.train.rows, again.train.rows)
    assert not np.array_equal(first.train.rows, other.train.rows)
    assert first.fingerprint == again.fingerprint == other.fingerprint
