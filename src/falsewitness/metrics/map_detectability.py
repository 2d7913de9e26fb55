"""Whether a detector can tell the maps of triggered images from those of clean ones."""

from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from falsewitness.core import seed_for
from falsewitness.core.maps import PIXELS, standardised
from falsewitness.core.shapes import Maps
from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._similarity import both_vary, in_parts
from falsewitness.metrics._statistics import FloatArray, auroc, bootstrap_auroc
from falsewitness.metrics._summaries import Flags, Samples, map_members, scopes


class MapDetectability(MapMetric):
    """``auroc`` of a detector of triggered maps: .5 is undetectable, 1 is given away.

    The detector is a logistic regression, trained on validation maps and scored on the map samples. It sees
    statistics of the raw map (scale, skewness, ...) and the standardised map pooled to a coarse grid, and is
    told nothing of the trigger. An image's clean and triggered map are a pair: the interval resamples images,
    for the detector as trained. Pairs with a constant map are left out of training and excluded from the
    score.
    """

    kind: Literal["map_detectability"] = "map_detectability"
    source: ClassVar[str] = "own definition; AUROC as in Hanley and McNeil, Radiology 1982"

    pooled_size: int = Field(default=8, ge=2, le=32)
    """Side of the grid that maps are pooled to for the detector; smaller maps are taken as they are."""

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        comparable = both_vary(evidence.attacked_clean, evidence.attacked_triggered)
        trainable = both_vary(evidence.validation_clean, evidence.validation_triggered)
        if not (trainable.any() and comparable.any()):
            return [
                Measurement("auroc", None, 0, samples=samples, excluded=int(scope.sum()))
                for samples, scope in scopes(evidence).items()
            ]
        clean_scores, triggered_scores = _detector_scores(
            self._features(evidence.validation_clean[trainable]),
            self._features(evidence.validation_triggered[trainable]),
            self._features(evidence.attacked_clean),
            self._features(evidence.attacked_triggered),
        )
        return [_summary(clean_scores, triggered_scores, comparable, samples, evidence) for samples in scopes(evidence)]

    def _features(self, maps: Maps) -> FloatArray:
        parts = [_features(some, self.pooled_size) for (some,) in in_parts(maps.shape[1:].numel(), maps)]
        return np.concatenate(parts)


def _features(maps: Maps, pooled_size: int) -> FloatArray:
    """Return ``[batch, features]``; of a constant map they are finite and mean nothing."""
    maps = maps.double()
    shape = standardised(maps)
    height, width = maps.shape[1:]
    smallest = torch.finfo(maps.dtype).tiny
    statistics = {
        "log_deviation": maps.std(PIXELS, correction=0).clamp(min=smallest).log(),
        "log_magnitude": maps.abs().mean(PIXELS).clamp(min=smallest).log(),
        "lowest": shape.amin(PIXELS),
        "highest": shape.amax(PIXELS),
        "skewness": shape.pow(3).mean(PIXELS),
        "kurtosis": shape.pow(4).mean(PIXELS),
        "share_above_mean": (shape > 0).double().mean(PIXELS),
        "share_of_zeros": (maps == 0).double().mean(PIXELS),
    }
    grid = (min(pooled_size, height), min(pooled_size, width))
    pooled = F.adaptive_avg_pool2d(shape[:, None], grid).flatten(1)
    features: FloatArray = torch.cat([torch.stack([*statistics.values()], dim=1), pooled], dim=1).cpu().numpy()
    return features


def _detector_scores(
    clean: FloatArray, triggered: FloatArray, test_clean: FloatArray, test_triggered: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Train a detector and return its scores of both sets of test maps; higher is more suspicious."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    detector = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    detector.fit(np.concatenate([clean, triggered]), np.repeat([0, 1], [len(clean), len(triggered)]))
    return detector.decision_function(test_clean), detector.decision_function(test_triggered)


def _summary(
    clean: FloatArray, triggered: FloatArray, comparable: Flags, samples: Samples, evidence: MapEvidence
) -> Measurement:
    scope = scopes(evidence)[samples]
    used = scope & comparable
    n, excluded = int(used.sum()), int((scope & ~comparable).sum())
    if n == 0:
        return Measurement("auroc", None, 0, samples=samples, excluded=excluded)

    def area(rows: Flags) -> float:
        return auroc(clean[rows.cpu().numpy()], triggered[rows.cpu().numpy()])

    has_spread = n > 1
    kept = used.cpu().numpy()
    seed = seed_for(evidence.seed, "bootstrap")
    low, high = bootstrap_auroc(clean[kept], triggered[kept], seed) if has_spread else (None, None)
    classes = map_members(evidence) if samples == "all" else {}
    return Measurement(
        "auroc",
        area(used),
        n,
        low,
        high,
        "bootstrap" if has_spread else "none",
        samples,
        excluded,
        {name: area(rows & used) for name, rows in classes.items() if (rows & used).any()},
    )
