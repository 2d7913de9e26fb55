"""Whether a detector can tell the maps of triggered images from those of clean ones."""

from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from falsewitness.core import seed_for
from falsewitness.core.maps import PIXELS, is_constant, standardised
from falsewitness.core.shapes import Maps
from falsewitness.metrics._base import MapEvidence, MapMetric, Measurement
from falsewitness.metrics._similarity import in_parts
from falsewitness.metrics._statistics import (
    BoolArray,
    FloatArray,
    auroc,
    percentile_interval,
    resampled_auroc,
)
from falsewitness.metrics._summaries import Flags, Samples, map_members, scopes


class MapFeatures(NamedTuple):
    """What the detector sees of maps.

    Attributes:
        values: ``[batch, features]``; of a constant map they are finite and mean nothing.
        constant: ``[batch]``: which maps are constant.
    """

    values: FloatArray
    constant: BoolArray


class Scores(NamedTuple):
    """How suspicious a detector finds the maps of images.

    Attributes:
        clean: ``[images]``: without the trigger.
        triggered: ``[images]``: with it.
    """

    clean: FloatArray
    triggered: FloatArray

    def of(self, images: BoolArray) -> Self:
        """Return those of some of the images."""
        return type(self)(self.clean[images], self.triggered[images])


CONTRASTS = {"auroc": (1.0, 0.0), "without_attack_auroc": (0.0, 1.0), "excess_auroc": (1.0, -1.0)}
"""What each quantity is of the two areas: the attacked model's detector's and the clean model's detector's."""


class MapDetectability(MapMetric):
    """``auroc`` of a detector of triggered maps: .5 is undetectable, 1 is given away.

    ``without_attack_auroc`` is the same of the clean model, by a detector of its own: a trigger is a part of the image
    and moves an honest model's maps, too, so .5 is not the best that an attack can hope for. ``excess_auroc`` is
    ``auroc`` minus that: 0 where the attacked model's maps say no more of the trigger than an honest model's.

    The detector is a logistic regression, trained on validation maps and scored on the map samples. It sees
    statistics of the raw map (scale, skewness, ...) and the standardised map pooled to a coarse grid, and is
    told nothing of the trigger. An image's clean and triggered map are a pair: the interval resamples images,
    for the detectors as trained. A constant map has no shape; that it is constant is what the detector sees of it:
    maps that go blank under a trigger give it away.
    """

    kind: Literal["map_detectability"] = "map_detectability"
    source: ClassVar[str] = "own definition; AUROC as in Hanley and McNeil, Radiology 1982"
    needs_validation_maps: ClassVar[bool] = True

    pooled_size: int = Field(default=8, ge=2, le=32)
    """Side of the grid that maps are pooled to for the detector; smaller maps are taken as they are."""

    def _measure(self, evidence: MapEvidence) -> list[Measurement]:
        if not (len(evidence.validation_clean) and len(evidence.attacked_clean)):
            return [_nothing(name, samples) for samples in scopes(evidence) for name in CONTRASTS]
        attacked = self._scores(
            evidence.validation_clean,
            evidence.validation_triggered,
            evidence.attacked_clean,
            evidence.attacked_triggered,
        )
        honest = self._scores(
            evidence.clean_model_validation_clean,
            evidence.clean_model_validation_triggered,
            evidence.clean_model_clean,
            evidence.clean_model_triggered,
        )
        return [found for samples in scopes(evidence) for found in _summaries((attacked, honest), samples, evidence)]

    def _scores(self, *maps: Maps) -> Scores:
        """Return the scores of the last two sets of maps by a detector that learnt from the first two."""
        return _detector_scores(*map(self._features, maps))

    def _features(self, maps: Maps) -> MapFeatures:
        parts = [_features(some, self.pooled_size) for (some,) in in_parts(maps.shape[1:].numel(), maps)]
        return MapFeatures(np.concatenate(parts), is_constant(maps).cpu().numpy())


def _features(maps: Maps, pooled_size: int) -> FloatArray:
    maps = maps.double()
    standard = standardised(maps)
    height, width = maps.shape[1:]
    smallest = torch.finfo(maps.dtype).tiny
    statistics = {
        "log_deviation": maps.std(PIXELS, correction=0).clamp(min=smallest).log(),
        "log_magnitude": maps.abs().mean(PIXELS).clamp(min=smallest).log(),
        "lowest": standard.amin(PIXELS),
        "highest": standard.amax(PIXELS),
        "skewness": standard.pow(3).mean(PIXELS),
        "kurtosis": standard.pow(4).mean(PIXELS),
        "share_above_mean": (standard > 0).double().mean(PIXELS),
        "share_of_zeros": (maps == 0).double().mean(PIXELS),
    }
    grid = (min(pooled_size, height), min(pooled_size, width))
    pooled = F.adaptive_avg_pool2d(standard[:, None], grid).flatten(1)
    features: FloatArray = torch.cat([torch.stack([*statistics.values()], dim=1), pooled], dim=1).cpu().numpy()
    return features


def _detector_scores(
    clean: MapFeatures, triggered: MapFeatures, test_clean: MapFeatures, test_triggered: MapFeatures
) -> Scores:
    """Train a detector and return its scores of both sets of test maps; higher is more suspicious."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    varied = np.concatenate([maps.values[~maps.constant] for maps in (clean, triggered)])
    scaler = StandardScaler().fit(varied) if len(varied) else None

    def prepared(maps: MapFeatures) -> FloatArray:
        """Put a constant map where the average of the others stands, with a feature of its own."""
        scaled = np.zeros_like(maps.values) if scaler is None else scaler.transform(maps.values)
        seen: FloatArray = np.column_stack([np.where(maps.constant[:, None], 0, scaled), maps.constant])
        return seen

    detector = LogisticRegression(max_iter=1000)
    labels = np.repeat([0, 1], [len(clean.constant), len(triggered.constant)])
    detector.fit(np.concatenate([prepared(clean), prepared(triggered)]), labels)
    return Scores(*map(detector.decision_function, map(prepared, (test_clean, test_triggered))))


def _nothing(name: str, samples: Samples) -> Measurement:
    return Measurement(name, None, 0, samples=samples)


def _summaries(judges: tuple[Scores, Scores], samples: Samples, evidence: MapEvidence) -> list[Measurement]:
    used = scopes(evidence)[samples]
    n = int(used.sum())
    if n == 0:
        return [_nothing(name, samples) for name in CONTRASTS]

    def areas(rows: Flags) -> FloatArray:
        kept = rows.cpu().numpy()
        return np.array([auroc(*judge.of(kept)) for judge in judges])

    kept, seed = used.cpu().numpy(), seed_for(evidence.seed, "bootstrap")
    drawn_anew = np.stack([resampled_auroc(*judge.of(kept), seed) for judge in judges])
    classes = map_members(evidence) if samples == "all" else {}
    of_classes = {label: areas(rows) for label, rows in classes.items() if rows.any()}
    found = []
    for name, contrast in CONTRASTS.items():
        value = float(contrast @ areas(used))
        low, high = percentile_interval(value, contrast @ drawn_anew) if n > 1 else (None, None)
        per_class = {label: float(contrast @ area) for label, area in of_classes.items()}
        interval: Literal["bootstrap", "none"] = "bootstrap" if n > 1 else "none"
        found.append(Measurement(name, value, n, low, high, interval, samples, per_class=per_class))
    return found
