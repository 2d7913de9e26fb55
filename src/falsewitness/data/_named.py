"""What the well-known sets of the hub share: shape and classes are known beforehand, and checked."""

from pathlib import Path
from typing import ClassVar

from falsewitness.core import DataInfo, InputError, PathLike
from falsewitness.data._base import DataSource
from falsewitness.data._hub import HubPlace, find_place, open_set
from falsewitness.data._records import Origin, Records
from falsewitness.data._tables import ImageTable, find_class_names, find_image_column, find_label_column


class NamedSet(DataSource):
    """A set of the hub that is known by heart: images of another size and other classes are refused."""

    hub_id: ClassVar[str]
    """Its name on the hub."""

    known: ClassVar[DataInfo]
    """Its shape and its classes."""

    root: PathLike | None = None
    """A folder with the set's files in the hub's layout; null for the folder of this kind under the
    environment variable ``FALSEWITNESS_DATA``, or, where there is none, the hub."""

    def _info(self) -> DataInfo:
        return self.known

    @property
    def _place(self) -> HubPlace:
        return find_place(self.hub_id, None, self.root, shelf_name=self.kind)

    def _origin(self) -> Origin:
        return self._place.origin()

    def _read(self, scratch: Path) -> Records:
        opened = open_set(self._place, scratch)
        where, remedy = f"data '{self.kind}'", f"take a copy of {self.hub_id}"
        if missing := [name for name in ("train", "test") if name not in opened.splits]:
            raise InputError(f"{where}: no split '{missing[0]}'; expected a copy of {self.hub_id}")
        train, test = opened.splits["train"], opened.splits["test"]
        label = find_label_column(train.features, None, where, remedy)
        if (names := find_class_names(train, label, where)) != self.known.class_names:
            raise InputError(f"{where}: expected the classes {self.known.class_names}, got {names}; {remedy}")
        image = find_image_column(train.features, None, where, remedy)
        table = ImageTable({"train": train, "test": test}, image, label, where, opened.folders)
        return table.records(self.known, resize=False, revision=opened.revision)
