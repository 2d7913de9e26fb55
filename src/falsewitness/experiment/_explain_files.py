"""A model's predictions and maps for image files from anywhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from falsewitness.core import DataInfo, InputError
from falsewitness.core.errors import of_problems
from falsewitness.core.faults import nearest, shown
from falsewitness.core.marker import Marker
from falsewitness.core.shapes import Background
from falsewitness.data import resized_pixels
from falsewitness.experiment._background import background_for
from falsewitness.experiment._labels import expect_own_kinds, labelled
from falsewitness.experiment._one_line import told_in_one_line
from falsewitness.experiment._recipes import read_spec
from falsewitness.experiment._reporter import SILENT, Reporter
from falsewitness.experiment._run_folder import RunFolder, unchanged
from falsewitness.experiment._spec import Spec
from falsewitness.explainers import BoundExplainer, Explainer
from falsewitness.models import Classifier, load_classifier
from falsewitness.triggers import Trigger


@dataclass(frozen=True)
class Explained:
    """What a model says of one image.

    Attributes:
        title: The file's name, and whether the trigger is on it.
        pixels: ``[channels, height, width]``, as the model saw it.
        prediction: Name of the predicted class.
        confidence: Its softmax share.
        maps: One map for each explainer, or for each explainer and class, ``[map_height, map_width]``.
        signed: Which of them can be negative.
    """

    title: str
    pixels: UInt8[np.ndarray, "channels height width"]
    prediction: str
    confidence: float
    maps: Mapping[str, Float[np.ndarray, "map_height map_width"]]
    signed: frozenset[str]


def explain_files(
    images: Sequence[Path],
    model: Path,
    explainers: Sequence[Explainer],
    classes: Sequence[str] = (),
    *,
    stamp: bool = False,
    device: torch.device | None = None,
    reporter: Reporter = SILENT,
) -> list[Explained]:
    """Explain image files; one of another size than the model takes is resized, with a notice.

    Args:
        images: The files.
        model: A run folder, or a model's safetensors file.
        explainers: Who explains.
        classes: Names or numbers of the classes to explain, ``all`` for every one; the predicted class where empty.
        stamp: Whether to explain each image with the run's trigger on it as well.
        device: Where to compute; the CPU where None.
        reporter: Who is told; nobody by default.

    Returns:
        One entry an image; with ``stamp`` followed by its triggered version.

    Raises:
        InputError: If a file is missing or no image, there is no such class, or no trigger to stamp.
        RunFailedError: If an explainer fails.
    """
    expect_own_kinds(explainers)
    folder = RunFolder(model)
    device = device or torch.device("cpu")
    classifier = load_classifier(_weights(folder, reporter) if model.is_dir() else unchanged(model)).to(device)
    if classifier.info is None:
        raise InputError(f"model '{model}': expected a file that tells the size of its images, got one that does not")
    info = classifier.info
    wanted = _numbers(classes, info)
    asks_the_run = stamp or any(explainer.background_size for explainer in explainers)
    spec = _vouched_spec(folder, reporter) if asks_the_run else None
    trigger = _trigger(folder, spec) if stamp else None
    chosen = _bound(explainers, classifier, spec, reporter)
    read = _pixels(images, info, reporter)
    explained = []
    with reporter.progress("explaining") as progress:
        for done, (title, pixels) in enumerate(zip(_titles(images), read, strict=True)):
            progress(done, len(images))
            batch = torch.from_numpy(pixels)[None].float().to(device) / 255
            explained.append(_explained(title, batch, classifier, info, chosen, wanted))
            if trigger is not None:
                stamped = trigger.bind(info, device)(batch)
                explained.append(_explained(f"{title}, triggered", stamped, classifier, info, chosen, wanted))
    return explained


def _titles(images: Sequence[Path]) -> list[str]:
    """Return the files' names, with their folders where several have one name."""
    count = Counter(path.name for path in images)
    return [path.name if count[path.name] == 1 else str(path) for path in images]


def _pixels(
    images: Sequence[Path], info: DataInfo, reporter: Reporter
) -> list[UInt8[np.ndarray, "channels height width"]]:
    from falsewitness.core.images import on_white, read_image

    read, resized, problems = [], [], []
    for path in images:
        try:
            image = on_white(read_image(path, f"image '{path}'"), info.channels)
        except InputError as error:
            problems.append(str(error))
            continue
        read.append(resized_pixels(image, (info.height, info.width)))  # at once: photos would not fit into memory
        if image.size != (info.width, info.height):
            resized.append(f"image '{path}': {image.width}x{image.height} pixels")
    if problems:
        raise of_problems(problems, "the images")
    for told in resized:
        reporter.notice(f"{told}, resized to the model's {info.width}x{info.height}")
    return read


def _vouched_spec(folder: RunFolder, reporter: Reporter) -> Spec | None:
    """Return the spec of a run, as it was when the run was measured; None where the model is no run's."""
    marker = folder.marker("evaluate")
    marker.check(folder.spec)
    if not folder.spec.is_file():
        return None
    _say_if_unvouched(marker, folder.spec, reporter)
    return read_spec(folder.spec)


def _bound(
    explainers: Sequence[Explainer], classifier: Classifier, spec: Spec | None, reporter: Reporter
) -> dict[str, BoundExplainer]:
    """Bind each to the model and, where the model is a run's, to images that it was trained on."""
    comparing = [explainer for explainer in explainers if explainer.background_size]
    background: dict[Explainer, Background | None] = {}
    if comparing and spec is not None:
        with reporter.progress(f"reading {spec.data.kind}") as progress:
            dataset = spec.data.prepare(reporter.notice, progress)
        background = {explainer: background_for(explainer, dataset, spec.data.split_seed) for explainer in comparing}
    bound = {}
    for label, explainer in labelled(explainers).items():
        with told_in_one_line(f"explainer '{label}'"):
            bound[label] = explainer.bind(classifier, background=background.get(explainer))
    return bound


def _weights(folder: RunFolder, reporter: Reporter) -> Path:
    weights = unchanged(folder.model)
    if not weights.is_file():
        raise InputError(
            f"'{folder.path}' holds no model; expected a run folder with '{weights.name}', or a safetensors file"
        )
    _say_if_unvouched(folder.marker("train"), weights, reporter)
    return weights


def _say_if_unvouched(marker: Marker, file: Path, reporter: Reporter) -> None:
    if file.name not in marker.files():
        reporter.notice(f"nothing vouches for '{file}': there is no '{marker.path.name}' that tells its hash")


def _trigger(folder: RunFolder, spec: Spec | None) -> Trigger:
    attack = None if spec is None else spec.attack
    if attack is None:
        raise InputError(f"--stamp: '{folder.path}' is no run with an attack, so there is no trigger to stamp")
    return attack.trigger


def _numbers(classes: Sequence[str], info: DataInfo) -> Sequence[int]:
    """Return the classes that are meant: a name comes before a number that looks like it."""
    names, numbers = list(info.class_names), []
    for asked in classes:
        if asked in names:
            numbers.append(names.index(asked))
        elif asked == "all":
            numbers += range(len(names))
        elif asked.isdecimal() and int(asked) < len(names):
            numbers.append(int(asked))
        else:
            raise InputError(
                f"--class: there is no class {shown(asked)}; {nearest(asked, names)} (or a number from 0 to "
                f"{len(names) - 1}, or all)"
            )
    return list(dict.fromkeys(numbers))


def _explained(
    title: str,
    batch: torch.Tensor,
    classifier: Classifier,
    info: DataInfo,
    chosen: Mapping[str, BoundExplainer],
    classes: Sequence[int],
) -> Explained:
    maps: dict[str, Float[np.ndarray, "map_height map_width"]] = {}
    signed = set()
    for label, explain in chosen.items():
        with told_in_one_line(f"explainer '{label}'"):
            found = _maps(explain, batch, classes)
        names = [f"{label}: {info.class_names[number]}" for number in classes] or [label]
        maps |= zip(names, found.cpu().numpy(), strict=True)
        signed |= set(names) if explain.explainer.signed else set()
    with torch.no_grad():
        shares = classifier(batch)[0].softmax(0)  # not the explainer's logits: it may be anybody's
    return Explained(
        title=title,
        pixels=(batch[0] * 255).round().to(torch.uint8).cpu().numpy(),
        prediction=info.class_names[int(shares.argmax())],
        confidence=float(shares.max()),
        maps=maps,
        signed=frozenset(signed),
    )


def _maps(
    explain: BoundExplainer, batch: torch.Tensor, classes: Sequence[int]
) -> Float[torch.Tensor, "wanted map_height map_width"]:
    """Return an image's maps: of the predicted class where none is named."""
    if len(classes) > 1:
        return explain.columns(batch).maps[0][list(classes)]
    return explain(batch, torch.tensor(classes, device=batch.device) if classes else None).maps
