"""Handwritten digits that need no network."""

from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import UInt8

from falsewitness.core import DataInfo
from falsewitness.data._base import SelfSplitSource
from falsewitness.data._records import Origin, Records

_SIDE = 32


class Digits(SelfSplitSource):
    """scikit-learn's 1,797 handwritten digits, enlarged from 8x8 to 32x32 grey pixels; needs no network."""

    kind: Literal["digits"] = "digits"

    source: ClassVar[str] = "Alpaydin and Kaynak 1998, optical recognition of handwritten digits, UCI"

    def _info(self) -> DataInfo:
        return DataInfo(1, _SIDE, _SIDE, tuple("0123456789"))

    def _origin(self) -> Origin:
        return Origin(f"scikit-learn {version('scikit-learn')}")

    def _read(self, scratch: Path) -> Records:
        from sklearn.datasets import load_digits

        bunch = load_digits()

        def decode(row: int) -> UInt8[np.ndarray, "1 32 32"]:
            return _enlarged(bunch.images[row])

        labels = bunch.target.astype(np.int64)
        return Records(self._info(), labels, train_rows=len(labels), decode=decode)


def _enlarged(digit: np.ndarray) -> UInt8[np.ndarray, "1 32 32"]:
    """Enlarge 8x8 values from 0 to 16, bilinear."""
    from PIL import Image

    small = Image.fromarray(np.rint(digit * (255 / 16)).astype(np.uint8))
    return np.array(small.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))[None]
