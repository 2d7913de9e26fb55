from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from falsewitness.core import DataInfo, InputError, SpecError
from falsewitness.data import DataSource, Origin, Records, SelfSplitSource


class Numbered(SelfSplitSource):
    """Every image shows the number of its row, plus 7; classes take turns."""

    kind: Literal["numbered"] = "numbered"
    names: tuple[str, ...] = ("ant", "bee", "cat")
    rows: int = 60
    test_rows: int = 12
    step: int = 1

    def _info(self) -> DataInfo:
        return DataInfo(1, 4, 5, self.names)

    def _origin(self) -> Origin:
        return Origin("thin air")

    def _read(self, scratch: Path) -> Records:
        def decode(row: int) -> np.ndarray:
            return np.full((1, 4, 5), 7 + row * self.step, dtype=np.uint8)

        labels = np.arange(self.rows) % len(self.names)
        return Records(self._info(), labels, self.rows - self.test_rows, decode)


def test_images_labels_and_rows_belong_together() -> None:
    dataset = Numbered().prepare()
    assert dataset.info == Numbered().info()
    for split in (dataset.train, dataset.validation, dataset.test):
        assert np.asarray(split.images)[:, 0, 0, 0].tolist() == (split.rows + 7).tolist()
        assert split.targets.values.tolist() == (split.rows % 3).tolist()


def test_the_splits_divide_the_data() -> None:
    dataset = Numbered().prepare()
    rows = [*dataset.train.rows, *dataset.validation.rows, *dataset.test.rows]
    assert sorted(rows) == list(range(60))
    assert dataset.test.rows.tolist() == list(range(48, 60))
    assert len(dataset.validation) == 6


def test_a_test_split_is_held_out_where_the_source_has_none() -> None:
    dataset = Numbered(test_rows=0, test_share=0.25).prepare()
    assert len(dataset.test) == 15
    assert np.bincount(dataset.test.targets.values.numpy()).tolist() == [5, 5, 5]
    assert dataset.test.rows.tolist() != list(range(45, 60))


def test_only_the_splits_own_seed_moves_the_split() -> None:
    dataset, again = Numbered().prepare(), Numbered().prepare()
    other = Numbered(split_seed=1).prepare()
    assert dataset.validation.rows.tolist() == again.validation.rows.tolist()
    assert dataset.validation.rows.tolist() != other.validation.rows.tolist()
    assert dataset.fingerprint == other.fingerprint


def test_a_limit_thins_out_the_training_images_alone() -> None:
    whole, limited = Numbered().prepare(), Numbered(train_limit=9).prepare()
    assert np.bincount(limited.train.targets.values.numpy()).tolist() == [3, 3, 3]
    assert set(limited.train.rows) < set(whole.train.rows)
    assert limited.validation.rows.tolist() == whole.validation.rows.tolist()


def test_a_limit_below_the_number_of_classes_is_a_fault() -> None:
    with pytest.raises(SpecError, match=r"train_limit: expected at least one image a class \(3\), got 2"):
        Numbered(train_limit=2).prepare()


def test_a_class_too_small_to_be_split_is_named() -> None:
    few = Numbered(names=("ant", "bee", "cat", "dodo"), rows=19, test_rows=12)
    complaint = r"expected at least 2 training images of class 'dodo'.*for validation, got 1"
    with pytest.raises(InputError, match=complaint):
        few.prepare()


def test_a_source_without_test_images_that_holds_none_out_is_refused() -> None:
    class NoTest(Numbered):
        def _test_share(self) -> float:
            return DataSource._test_share(self)

    with pytest.raises(InputError, match="data 'numbered': expected test images, found none"):
        NoTest(test_rows=0).prepare()


def test_statistics_are_those_of_the_training_pixels() -> None:
    dataset = Numbered().prepare()
    pixels = np.asarray(dataset.train.images, dtype=np.float64) / 255
    mean, std = dataset.statistics()
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_channel_that_never_changes_has_deviation_one() -> None:
    assert Numbered(step=0).prepare().statistics() == ((7 / 255,), (1.0,))
