"""The tiles of the gallery: an image, what an explainer shows on it, and what a model says about it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from falsewitness.report._run import Data, Gallery, Model, Prediction, Run, View
from falsewitness.report._text import clean_text, whole_percent
from falsewitness.report._tiles import WITHOUT_CONTRAST, Picture, Scale, heat, outline, photo
from falsewitness.report._titles import titles

Mark = Literal["right", "target", "wrong", ""]


@dataclass(frozen=True)
class Tile:
    """One picture with what a model says about it.

    Attributes:
        width: Pixels of the image.
        height: Pixels of the image.
        image: The image.
        map: The explanation that lies over it; None where there is none.
        outline: The trigger's edge as SVG path data; empty where there is none.
        alt: The picture in words.
        name: The class under the picture: the true one or the predicted one.
        confidence: The prediction's probability; empty for a true class.
        mark: How the prediction relates to the truth.
        note: What else to know.
    """

    width: int
    height: int
    image: Picture
    map: Picture | None
    outline: str
    alt: str
    name: str
    confidence: str = ""
    mark: Mark = ""
    note: str = ""

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """What must be on the page for this tile to be drawn."""
        return (self.image, self.map) if self.map else (self.image,)


@dataclass(frozen=True)
class Example:
    """A run with its pictures, as the gallery needs it.

    Attributes:
        run: The run.
        title: Its name on the page.
        anchor: Where on the page its details are.
        data: The images it worked on.
        gallery: Its pictures.
    """

    run: Run
    title: str
    anchor: str
    data: Data
    gallery: Gallery


def examples(named: Iterable[tuple[Run, str, str]]) -> list[Example]:
    """Return the finished attacks that have pictures, from runs with their titles and anchors."""
    return [
        Example(run, title, anchor, run.result.data, run.gallery)
        for run, title, anchor in named
        if run.done and run.result.role == "attack" and run.result.data and run.gallery
    ]


def titled_examples(runs: Sequence[Run]) -> list[Example]:
    """Return the same from runs for a picture, which has no place to lead to."""
    return examples((run, title, "") for run, title in zip(runs, titles(runs), strict=True))


def scale_of(auditor: str, shown: Sequence[Example]) -> Scale:
    """Tell how an auditor's maps are coloured: alike on the whole page."""
    return "signed" if any(example.gallery.signed(auditor) for example in shown) else "rising"


def main_auditor(example: Example) -> str:
    """Return the auditor that pictures of few columns show: the one the attack trained against, where its maps are."""
    main = example.run.result.main_auditor
    return main if main in example.gallery.auditors else example.gallery.auditors[0]


def plain_tile(example: Example, row: int, view: View, prediction: Model | None = None) -> Tile:
    """Lay out an image without a map.

    Args:
        example: Where it comes from.
        row: Which of the gallery's images.
        view: With or without the trigger.
        prediction: Whose answer is written under it; the true class where None.
    """
    image = pixels(example.gallery, view)[row]
    true = class_name(example, int(example.gallery.labels[row]))
    described = f"{_described(example, row, view)}, of class {true}"
    if prediction is None:
        return _tile(example, image, None, view, alt=described, name=true)
    answer = example.gallery.predictions[prediction, view]
    name, confidence, mark = _answer(example, answer, row, view)
    return _tile(
        example,
        image,
        None,
        view,
        alt=f"{described}; predicted {name}",
        name=name,
        confidence=confidence,
        mark=mark,
    )


def map_tile(example: Example, row: int, auditor: str, model: Model, view: View, scale: Scale) -> Tile | None:
    """Lay out an image under a model's map; None where the auditor has none."""
    maps = example.gallery.maps.get((auditor, model, view))
    if maps is None:
        return None
    saliency: Float[np.ndarray, "map_height map_width"] = maps[row]
    picture = heat(saliency, scale, example.data.width, example.data.height)
    name, confidence, mark = _answer(example, example.gallery.predictions[model, view], row, view)
    whose = "the clean model" if model == "clean" else example.title
    return _tile(
        example,
        pixels(example.gallery, view)[row],
        picture,
        view,
        alt=f"{clean_text(auditor)} map of {whose} over {_described(example, row, view)}; predicted {name}",
        name=name,
        confidence=confidence,
        mark=mark,
        note="" if picture else WITHOUT_CONTRAST,
    )


def _tile(
    example: Example,
    image: UInt8[np.ndarray, "channels height width"],
    picture: Picture | None,
    view: View,
    *,
    alt: str,
    name: str,
    confidence: str = "",
    mark: Mark = "",
    note: str = "",
) -> Tile:
    mask = example.gallery.mask
    return Tile(
        width=example.data.width,
        height=example.data.height,
        image=photo(image),
        map=picture,
        outline=outline(mask) if view == "triggered" and mask is not None else "",
        alt=alt,
        name=name,
        confidence=confidence,
        mark=mark,
        note=note,
    )


def pixels(gallery: Gallery, view: View) -> UInt8[np.ndarray, "samples channels height width"]:
    """Return the images of a view; without trigger where the run knows none."""
    return gallery.images if view == "clean" or gallery.triggered is None else gallery.triggered


def _described(example: Example, row: int, view: View) -> str:
    return f"{view} test image {example.gallery.index[row]}"


def class_name(example: Example, number: int) -> str:
    """Return the name of a class as it is shown."""
    return clean_text(example.data.class_names[number])


def _answer(example: Example, prediction: Prediction, row: int, view: View) -> tuple[str, str, Mark]:
    predicted, true = int(prediction.classes[row]), int(example.gallery.labels[row])
    attack = example.run.result.attack
    mark: Mark = "wrong"
    if predicted == true:
        mark = "right"
    elif view == "triggered" and attack and example.data.class_names[predicted] == attack.target_class:
        mark = "target"
    return class_name(example, predicted), whole_percent(float(prediction.confidences[row])), mark


def glimpse(example: Example, scales: Mapping[str, Scale]) -> tuple[tuple[str, Tile], ...]:
    """Return what a user would see of an attack: a triggered image and its main auditor's map."""
    rows = example.gallery.rows("success") or example.gallery.rows("shared")
    auditor = example.run.result.main_auditor
    if not rows or auditor is None or auditor not in scales:
        return ()
    seen = map_tile(example, rows[0], auditor, "attacked", "triggered", scales[auditor])
    image = plain_tile(example, rows[0], "triggered", "attacked")
    return (("triggered image", image), *(((f"its {clean_text(auditor)} map", seen),) if seen else ()))
