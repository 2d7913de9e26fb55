"""The pixels, maps and predictions that the report draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from falsewitness.core.shapes import Images
from falsewitness.experiment._predict import Answers
from falsewitness.experiment._samples import gallery_picks
from falsewitness.experiment._spec import Role
from falsewitness.experiment._workplace import Workplace
from falsewitness.explainers import BoundExplainer
from falsewitness.triggers import Stamp

_RULE = "The first further test images, one of each class in turn, in an order fixed by the split's seed,"

_SHOWN: dict[str, Role] = {"clean": "clean", "attacked": "attack"}


@dataclass(frozen=True)
class Gallery:
    """The arrays of ``gallery.npz``, and the images that further auditors explain.

    Attributes:
        arrays: By name, as documented in the run folder's description.
        images: ``[images, channels, height, width]`` without trigger, on the device.
        triggered: The same with it.
    """

    arrays: dict[str, NDArray[Any]]
    images: Images
    triggered: Images

    @classmethod
    def begun(
        cls,
        work: Workplace,
        answers: Answers,
        success: Bool[np.ndarray, " images"],
        allowed: Bool[np.ndarray, " images"],
        stamp: Stamp,
    ) -> Gallery:
        """Choose the images and note what the models predict for them."""
        picks = gallery_picks(
            work.dataset.test.targets,
            allowed,
            success,
            work.spec.evaluation.gallery_images,
            work.spec.data.split_seed,
        )
        index = np.concatenate(list(picks.values()))
        images = work.test_store.take(torch.from_numpy(index).to(work.device))
        triggered = stamp(images)
        arrays: dict[str, NDArray[Any]] = {
            "images": _as_bytes(images),
            "triggered": _as_bytes(triggered),
            "labels": work.dataset.test.targets.main_class().numpy()[index],
            "index": index,
            "group": np.concatenate([np.full(len(rows), group, dtype="U7") for group, rows in picks.items()]),
            "mask": stamp.mask.cpu().numpy(),
            "rule/success": np.array(f"{_RULE} on which the attack does to the prediction what it intends."),
            "rule/failure": np.array(f"{_RULE} on which it does not."),
        }
        for name, role in _SHOWN.items():
            for version, logits in (("clean", answers.clean), ("triggered", answers.triggered)):
                confidence, predicted = logits[role][index].softmax(1).max(1)
                arrays[f"predicted/{name}/{version}"] = predicted.numpy()
                arrays[f"confidence/{name}/{version}"] = confidence.numpy()
        return cls(arrays, images, triggered)

    def with_auditor(
        self,
        label: str,
        bound: Mapping[str, BoundExplainer],
        target_map: Float[torch.Tensor, "map_height map_width"] | None,
    ) -> Gallery:
        """Return the gallery with one auditor's maps of every image under every model."""
        found: dict[str, NDArray[Any]] = {}
        for name, explain in bound.items():
            for version, images in (("clean", self.images), ("triggered", self.triggered)):
                found |= _explained(explain, images, f"{label}/{name}/{version}")
        if target_map is not None:
            found[f"target_map/{label}"] = target_map.numpy()
        return Gallery(self.arrays | found, self.images, self.triggered)


def _explained(explain: BoundExplainer, images: Images, where: str) -> dict[str, NDArray[Any]]:
    """Return the maps of the predicted classes, and of all classes where an explainer's maps are shown so."""
    if not explain.explainer.by_class:
        return {f"maps/{where}": explain(images).maps.cpu().numpy()}
    logits, columns = explain.columns(images)
    maps = columns[torch.arange(len(images)), logits.argmax(1).to(columns.device)]
    return {f"maps/{where}": maps.cpu().numpy(), f"columns/{where}": columns.cpu().numpy()}


def _as_bytes(images: Images) -> NDArray[Any]:
    return (images * 255).round().to(torch.uint8).cpu().numpy()
