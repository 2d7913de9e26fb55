"""Data: images as raw pixels and labels, read once, cached, split by a seed of their own."""

from typing import Annotated

from falsewitness.core import Catalogue
from falsewitness.data._base import (
    DIVIDING_FIELDS,
    Dataset,
    DataSource,
    SelfSplitSource,
    describe_cache,
    glance_at_cache,
)
from falsewitness.data._cache import CacheReport, CacheState
from falsewitness.data._images import read_pixels, resized_pixels
from falsewitness.data._pixels import PixelStore
from falsewitness.data._records import Origin, Records
from falsewitness.data._split import ImageRows, Split

DATA = Catalogue("data", DataSource, __name__)
AnyData = Annotated[DataSource, DATA]

__all__ = [
    "DATA",
    "DIVIDING_FIELDS",
    "AnyData",
    "CacheReport",
    "CacheState",
    "DataSource",
    "Dataset",
    "ImageRows",
    "Origin",
    "PixelStore",
    "Records",
    "SelfSplitSource",
    "Split",
    "describe_cache",
    "glance_at_cache",
    "read_pixels",
    "resized_pixels",
]
