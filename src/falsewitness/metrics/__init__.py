"""Metrics: how well an attack deceives, and what gives it away. They get tensors and nothing else."""

from typing import Annotated

from falsewitness.core import Catalogue
from falsewitness.metrics._base import (
    MapEvidence,
    MapMetric,
    Measurement,
    Metric,
    PredictionEvidence,
    PredictionMetric,
    StampEvidence,
    StampMetric,
)

METRICS = Catalogue("metrics", Metric, __name__)
AnyMetric = Annotated[Metric, METRICS]

__all__ = [
    "METRICS",
    "AnyMetric",
    "MapEvidence",
    "MapMetric",
    "Measurement",
    "Metric",
    "PredictionEvidence",
    "PredictionMetric",
    "StampEvidence",
    "StampMetric",
]
