"""The contract of a data source, and what preparing one gives."""

import hashlib
import json
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import Field

from falsewitness.core import (
    Component,
    DataInfo,
    Fault,
    InputError,
    RunFailedError,
    SpecError,
    seed_for,
)
from falsewitness.core.files import sha256_of
from falsewitness.core.foreign import foreign_sources
from falsewitness.core.seeds import LARGEST_SEED
from falsewitness.core.targets import SingleTargets
from falsewitness.data._cache import (
    CachedData,
    CacheReport,
    CacheState,
    Progress,
    cache_root,
    inspect_cache,
    read_manifest,
    sole_writer,
    write_cache,
)
from falsewitness.data._records import Origin, Records
from falsewitness.data._split import ImageRows, Rows, Some, Split, hold_out, thin_out

_DECODING = 1
"""Raised when a change of ours gives other pixels for the same source: every copy is then decoded anew."""

DIVIDING_FIELDS = frozenset({"split_seed", "validation_share", "train_limit", "test_share"})
"""Fields that decide what images are used for, and nothing of what they are."""

_NOT_DECODING = {*DIVIDING_FIELDS, "root"}
"""Fields that leave the decoded pixels alone, and the root, which stands in the origin."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """Images and labels, decoded and split.

    Attributes:
        info: Shape and classes.
        fingerprint: sha256 of the content: pixels, labels, class names and which images are for testing.
            The place, the format and the split do not matter; a lossy copy has another one.
        train: What models are trained on.
        validation: Held out from training, for every choice that is made.
        test: Looked at once.
    """

    info: DataInfo
    fingerprint: str
    train: Split
    validation: Split
    test: Split

    def in_memory(self) -> "Dataset":
        """Return it with all images read, so that it can be sent to a machine that lacks the cache."""
        return replace(self, **{part: getattr(self, part).in_memory() for part in ("train", "validation", "test")})

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation of the training pixels in [0, 1], one each a channel.

        A channel that never changes gets the deviation 1, for it is divided by.
        """
        counts = _value_counts(self.train, self.info.channels)
        values = np.arange(256) / 255
        shares = counts / counts.sum(axis=1, keepdims=True)
        mean = shares @ values
        std = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(axis=1))
        constant = (counts > 0).sum(axis=1) == 1
        return tuple(mean.tolist()), tuple(np.where(constant, 1.0, std).tolist())


def _value_counts(split: Split, channels: int, step: int = 1024) -> Float64[np.ndarray, "channels 256"]:
    counts = np.zeros((channels, 256))
    for start in range(0, len(split), step):
        chunk = split.images[start : start + step]
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[:, channel].ravel(), minlength=256)
    return counts


class DataSource(Component):
    """A place that images and labels come from.

    A new one overrides :meth:`_info`, :meth:`_origin` and :meth:`_read`; it is then decoded in parallel,
    cached, verified and split like every other.
    """

    split_seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    """Seed of the split; the experiment's own seed does not move it."""

    validation_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of every class's training images that is held out for validation."""

    train_limit: int | None = Field(default=None, ge=1)
    """Train on at most so many images, for a quick try; classes keep their shares."""

    @final
    def info(self) -> DataInfo:
        """Return channels, size and class names, without decoding an image.

        Raises:
            InputError: If the source has to be looked at and is not there.
        """
        return self._info()

    @final
    def info_at_hand(self) -> DataInfo | None:
        """Return the same, or None where much would have to be read, or fetched, to tell.

        Raises:
            InputError: If the source is not there.
        """
        return self._info_at_hand()

    @final
    def prepare(self, notice: Callable[[str], None] = _log.info, progress: Progress | None = None) -> Dataset:
        """Open the decoded copy and verify it; decode the source first where no right copy is.

        Args:
            notice: Told in a line what takes time or is not as expected; by default goes to the log.
            progress: Told the number of images decoded so far, and of all.

        Raises:
            InputError: If the source is missing or damaged.
            RunFailedError: If the cache cannot be written.
            SpecError: If the training images cannot be limited as asked.
        """
        origin = self._origin()
        report = inspect_cache(self._folder(origin), origin.stamps)
        if report.data is None:
            with sole_writer(report.folder, notice):
                report = self._decoded(origin, report.folder, notice, progress)
        if report.data is None:
            raise RunFailedError(f"data '{self.kind}': the copy just written cannot be used: {report}")
        if faults := self.check(report.data.info):
            raise SpecError(faults, f"data '{self.kind}'")
        return self._divided(report.data)

    @abstractmethod
    def _info(self) -> DataInfo:
        """Return channels, size and class names, without decoding an image."""

    def _info_at_hand(self) -> DataInfo | None:
        """Return the same, or None; overridden where telling takes long."""
        return self._info()

    @abstractmethod
    def _origin(self) -> Origin:
        """Return where the images are, without reading one.

        Raises:
            InputError: If they are nowhere.
        """

    @abstractmethod
    def _read(self, scratch: Path) -> Records:
        """Open the source; called only where there is no decoded copy.

        Args:
            scratch: An empty folder that is removed after decoding.
        """

    def _test_share(self) -> float:
        """Return the share of every class to test on where the source has no test split of its own."""
        raise InputError(f"data '{self.kind}': expected test images, found none")

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self.train_limit is not None and self.train_limit < info.num_classes:
            yield Fault(
                "train_limit",
                f"expected at least one image a class ({info.num_classes}), got {self.train_limit}",
            )

    def _folder(self, origin: Origin) -> Path:
        """Return the folder of the decoded copy: one for every origin and way to decode."""
        settings = self.model_dump(mode="json", exclude=_NOT_DECODING)
        code = [sha256_of(file) for file in foreign_sources(self)]
        identity = json.dumps([_DECODING, origin.location, settings, *code], sort_keys=True)
        return cache_root() / f"{self.kind}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"

    def _remembered_class_names(self, origin: Origin) -> tuple[str, ...] | None:
        """Return the class names of the decoded copy, if there is one and the source is still the same."""
        try:
            manifest = read_manifest(self._folder(origin))
        except (OSError, ValueError):
            return None
        return manifest.class_names if manifest.stamps == origin.stamps else None

    def _decoded(
        self, origin: Origin, folder: Path, notice: Callable[[str], None], progress: Progress | None
    ) -> CacheReport:
        """Return the copy, decoded now unless another process has just done so."""
        report = inspect_cache(folder, origin.stamps)
        if report.data is not None:
            return report
        notice(f"data '{self.kind}': {report.detail}; decoding {origin.location} into {folder}")

        def read(scratch: Path) -> Records:
            records = self._read(scratch).checked(f"data '{self.kind}'")
            for remark in records.remarks:
                notice(f"data '{self.kind}': {remark}")
            return records

        write_cache(folder, origin, read, progress)
        return inspect_cache(folder, origin.stamps)

    def _divided(self, data: CachedData) -> Dataset:
        training, test = np.split(np.arange(len(data.labels)), [data.manifest.train_rows])
        if len(test) == 0:
            training, test = self._held_out(data, training, self._test_share(), "test")
        train, validation = self._held_out(data, training, self.validation_share, "validation")
        if self.train_limit is not None:
            train = thin_out(train, data.labels[train], self.train_limit, seed_for(self.split_seed, "limit"))
        return Dataset(
            data.info,
            data.manifest.fingerprint,
            train=_split(data, train),
            validation=_split(data, validation),
            test=_split(data, test),
        )

    def _held_out(self, data: CachedData, rows: Rows, share: float, role: str) -> tuple[Some, Some]:
        classes = data.labels[rows]
        names = data.manifest.class_names
        counts = np.bincount(classes, minlength=len(names))
        if counts[scarce := int(counts.argmin())] < 2:
            raise InputError(
                f"data '{self.kind}': expected at least 2 training images of class '{names[scarce]}', to hold one out "
                f"for {role}, got {counts[scarce]} (where there is no test split, a test image is held out first); add "
                "images of the class or leave it out"
            )
        return hold_out(rows, classes, share, seed_for(self.split_seed, role))


def _split(data: CachedData, rows: Rows) -> Split:
    return Split(ImageRows(data.images, rows), SingleTargets(torch.from_numpy(data.labels[rows])), rows)


class SelfSplitSource(DataSource):
    """A source that may have no test split of its own."""

    test_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of every class that is held out for testing where the source has no test split of its own."""

    def _test_share(self) -> float:
        return self.test_share


def describe_cache(source: DataSource) -> CacheReport:
    """Tell whether a data set is decoded, and whether its copy is whole, without decoding anything.

    Args:
        source: The data set.

    Raises:
        InputError: If the source is a folder that is missing.
    """
    origin = source._origin()
    return inspect_cache(source._folder(origin), origin.stamps)


def glance_at_cache(source: DataSource) -> CacheState:
    """Tell likewise from what stands beside the decoded copy alone: at once, without verifying an image.

    Raises:
        InputError: If the source is a folder that is missing.
    """
    origin = source._origin()
    folder = source._folder(origin)
    if not folder.exists():
        return CacheState.ABSENT
    try:
        manifest = read_manifest(folder)
    except (OSError, ValueError):
        return CacheState.DAMAGED
    return CacheState.WHOLE if manifest.stamps == origin.stamps else CacheState.STALE
