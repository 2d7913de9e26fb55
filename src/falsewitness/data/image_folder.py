"""Images in folders, one a class."""

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from falsewitness.core import DataInfo, PathLike
from falsewitness.core.errors import expect_text
from falsewitness.data._base import SelfSplitSource
from falsewitness.data._folders import list_classes, list_images, real_path
from falsewitness.data._images import read_pixels
from falsewitness.data._records import Origin, Records, stamp


class ImageFolder(SelfSplitSource):
    """Your own images: ``root/train/CLASS/*`` and ``root/test/CLASS/*``.

    Classes are the sorted names of the folders in ``train``. Without a folder ``test``, a share of every
    class is held out. What is hidden and files whose names do not end like an image's are left out, and that is
    said. A folder within a class, a class without images and a link that leads out of ``root`` are errors.
    """

    kind: Literal["image_folder"] = "image_folder"

    source: ClassVar[str] = "the user's own files"

    root: PathLike
    """The folder that holds ``train`` and ``test``."""

    size: int = Field(default=64, ge=1, le=4096)
    """Images are resized to a square of so many pixels a side; the ratio of the sides is not kept."""

    channels: Literal[1, 3] = 3
    """1 for grey, 3 for RGB."""

    def _info(self) -> DataInfo:
        return DataInfo(self.channels, self.size, self.size, list_classes(self._base))

    def _origin(self) -> Origin:
        expect_text(str(self._base), "data.root")
        listing = list_images(self._base)
        return Origin(
            str(self._base),
            {file.relative_to(self._base).as_posix(): stamp(file) for file, _ in listing.train + listing.test},
        )

    def _read(self, scratch: Path) -> Records:
        listing = list_images(self._base)
        images = listing.train + listing.test

        def decode(row: int) -> UInt8[np.ndarray, "channels height width"]:
            file, _ = images[row]
            return read_pixels(file, str(file), channels=self.channels, size=(self.size, self.size), resize=True)

        return Records(
            self._info(),
            np.array([label for _, label in images], dtype=np.int64),
            train_rows=len(listing.train),
            decode=decode,
            remarks=listing.remarks(),
        )

    @property
    def _base(self) -> Path:
        return real_path(self.root)
