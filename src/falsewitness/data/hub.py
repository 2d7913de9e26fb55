"""Any set of images with one label each that the Hugging Face hub has, or a local folder in its layout."""

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from falsewitness.core import DataInfo, InputError, PathLike
from falsewitness.core.faults import nearest, shown
from falsewitness.core.files import writing
from falsewitness.data._base import SelfSplitSource
from falsewitness.data._hub import HubPlace, find_place, open_set
from falsewitness.data._records import Origin, Records
from falsewitness.data._tables import ImageTable, find_class_names, find_image_column, find_label_column

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_USUAL_TEST_SPLIT = "test"
_NAME_IMAGES, _NAME_LABELS = "let data.image_column name it", "let data.label_column name it"


def _owned(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ValueError(f"expected a set's name on the hub as owner/name, got {shown(name)}")
    return name


class Hub(SelfSplitSource):
    """A set of images with one label each on the Hugging Face hub, by its name; images become squares."""

    kind: Literal["hub"] = "hub"

    source: ClassVar[str] = "https://huggingface.co/datasets"

    name: Annotated[str, AfterValidator(_owned)] | None = None
    """Name on the hub, ``owner/name``."""

    root: PathLike | None = None
    """A local folder in the hub's layout, to be read in the hub's place."""

    config: str | None = None
    """Which configuration of the set; null for the only or default one."""

    image_column: str | None = None
    """The column of images; null for the only one of that type."""

    label_column: str | None = None
    """The column of labels; null for the only one that names classes."""

    train_split: str = "train"
    """The split to train on."""

    test_split: str | None = _USUAL_TEST_SPLIT
    """The split to test on; null to hold out ``test_share``, as also where the set has no split ``test``."""

    size: int = Field(default=64, ge=1, le=4096)
    """Images are resized to a square of so many pixels a side; the ratio of the sides is not kept."""

    channels: Literal[1, 3] = 3
    """1 for grey, 3 for RGB."""

    @model_validator(mode="after")
    def _consistent(self) -> "Hub":
        if self.name is None and self.root is None:
            raise ValueError("expected the name of a set on the hub, or the root of a local one, got neither")
        if self.test_split == self.train_split:
            raise ValueError(f"expected another test_split than train_split, got '{self.test_split}' for both")
        return self

    def _info(self) -> DataInfo:
        if (remembered := self._info_at_hand()) is not None:
            return remembered
        aside = Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108 - only told; tempfile looks for itself
        with (
            writing(aside, "make room there and in the cache of the Hugging Face hub, then run again"),
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        ):
            names = self._class_names(self._splits(open_set(self._place, Path(scratch)).splits))
        return DataInfo(self.channels, self.size, self.size, names)

    def _info_at_hand(self) -> DataInfo | None:
        names = self._remembered_class_names(self._origin())
        return None if names is None else DataInfo(self.channels, self.size, self.size, names)

    @property
    def _place(self) -> HubPlace:
        return find_place(self.name or "", self.config, self.root)

    def _origin(self) -> Origin:
        return self._place.origin()

    def _read(self, scratch: Path) -> Records:
        opened = open_set(self._place, scratch)
        splits = self._splits(opened.splits)
        features = splits[self.train_split].features
        table = ImageTable(
            splits,
            image_column=find_image_column(features, self.image_column, self._where, _NAME_IMAGES),
            label_column=find_label_column(features, self.label_column, self._where, _NAME_LABELS),
            where=self._where,
            folders=opened.folders,
        )
        info = DataInfo(self.channels, self.size, self.size, self._class_names(splits))
        held_out = (f"held out {self.test_share} of every class to test on",) if len(splits) == 1 else ()
        return table.records(info, resize=True, revision=opened.revision, remarks=held_out)

    @property
    def _where(self) -> str:
        return str(self.root or self.name)

    def _splits(self, found: "DatasetDict") -> dict[str, "Dataset"]:
        wanted = [self.train_split]
        if self.test_split is not None and (self.test_split in found or self.test_split != _USUAL_TEST_SPLIT):
            wanted.append(self.test_split)
        if missing := [name for name in wanted if name not in found]:
            raise InputError(f"{self._where}: no split '{missing[0]}'; {nearest(missing[0], found)}")
        return {name: found[name] for name in wanted}

    def _class_names(self, splits: dict[str, "Dataset"]) -> tuple[str, ...]:
        train = splits[self.train_split]
        column = find_label_column(train.features, self.label_column, self._where, _NAME_LABELS)
        return find_class_names(train, column, self._where)
