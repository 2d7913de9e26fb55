"""Every image's numbers, so that two runs can be compared image by image."""

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from falsewitness.core.values import values_key
from falsewitness.data import Split
from falsewitness.experiment._results import Finding


def values_of(findings: Iterable[Finding], test: Split) -> dict[str, NDArray[Any]]:
    """Return the arrays of ``values.npz``, but for the places of the map samples.

    Args:
        findings: Every measurement; those that are no mean over images are passed over.
        test: The test images that they are of.
    """
    values: dict[str, NDArray[Any]] = {
        values_key(finding.metric, finding.measurement.name, finding.auditor): finding.measurement.values
        for finding in findings
        if finding.measurement.values is not None
    }
    return {"images": test.rows, **values}
