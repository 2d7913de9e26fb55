import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from falsewitness.data import DATA, DataSource, describe_cache

BESIDE_THE_PROJECT = Path(__file__).parents[4] / "shared" / "data"
SHELF = Path(os.environ.get("FALSEWITNESS_DATA") or BESIDE_THE_PROJECT)


@pytest.fixture
def real() -> Callable[[str], DataSource]:
    """Give a source by its kind, or skip where its files are not on this machine."""

    def give(kind: str) -> DataSource:
        if not (SHELF / kind).is_dir():
            pytest.skip(f"no copy of {kind} in {SHELF}; FALSEWITNESS_DATA can name another folder")
        return DATA.get(kind).parse({"kind": kind, "root": str(SHELF / kind)}, "data")

    return give


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rows"), [("mnist", 60_000), ("cifar10", 50_000)])
def test_all_of_a_real_set_is_decoded(kind: str, rows: int, real: Callable[[str], DataSource]) -> None:
    source = real(kind)
    dataset = source.prepare()
    assert dataset.info == source.info()
    assert len(dataset.train) + len(dataset.validation) == rows
    assert len(dataset.test) == 10_000
    assert np.bincount(dataset.validation.targets.values.numpy()).min() > 500 * rows / 60_000


@pytest.mark.slow
def test_cifar10_is_decoded_in_20_seconds_and_verified_in_less_than_one(
    real: Callable[[str], DataSource],
) -> None:
    source = real("cifar10")
    started = time.monotonic()
    dataset = source.prepare()
    decoded = time.monotonic()
    report = describe_cache(source)
    verified = time.monotonic()
    assert decoded - started < 20
    assert verified - decoded < 1
    assert report.data is not None
    assert report.data.manifest.fingerprint == dataset.fingerprint


@pytest.mark.slow
def test_pixels_of_mnist_have_the_well_known_mean_and_deviation(real: Callable[[str], DataSource]) -> None:
    # .1307 and .3081 over all 60,000 training images; here over the 54,000 that are trained on.
    (mean,), (std,) = real("mnist").prepare().statistics()
    assert abs(mean - 0.1307) < 0.001
    assert abs(std - 0.3081) < 0.001
