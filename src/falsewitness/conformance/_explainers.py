"""What every explainer must keep."""

from dataclasses import replace

import torch

from falsewitness.conformance._classifiers import (
    TRIALS,
    Snapshot,
    attached,
    dead,
    in_frozen_training,
    small_classifier,
)
from falsewitness.conformance._contract import ConformanceError, noise, relative_distance, repeated, require
from falsewitness.conformance._weight_gradients import error_of_weight_gradient
from falsewitness.core import DataInfo, InputError
from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Images
from falsewitness.explainers import BoundExplainer, Explainer
from falsewitness.models import Architecture, Classifier

_ROUNDING = 0.01
"""How far equal maps may lie apart: rounding turns single ReLUs on or off, and their share of a map with them."""

_GRADIENT_ERROR = 0.2
"""How far a surrogate's weight gradient may lie from the true one: finite differences are welcome, mistakes are not."""

_IMAGES = 3
_ROWS = (2, 0)


def check_explainer(explainer: Explainer) -> None:
    """Check the explainer on small networks, as an auditor and, where it can be one, as a surrogate.

    Raises:
        ConformanceError: With the first promise that it breaks.
    """
    unknown = sorted(explainer.only_in_training - set(type(explainer).model_fields))
    require(not unknown, f"expected the class variable only_in_training to name fields, got {', '.join(unknown)}")
    refusals = []
    for architecture, info in TRIALS:
        try:
            attached(explainer, small_classifier(architecture, info))(noise(info, 1))
        except InputError as refusal:
            refusals.append(f"{architecture.kind}: {refusal}")
        else:
            _check_on(explainer, architecture, info)
    require(len(refusals) < len(TRIALS), f"expected it to explain a small network, got {'; '.join(refusals)}")


def _check_on(explainer: Explainer, architecture: Architecture, info: DataInfo) -> None:
    model = small_classifier(architecture, info)
    images = noise(info, _IMAGES)
    before = Snapshot(model)
    explain = attached(explainer, model)
    explain(images.clone())
    before.require_unchanged("explaining")  # first, because what is left behind spoils the answers that follow
    answer = _check_answers(explain, images)
    _check_rows(explain, images, answer)
    _check_columns(explain, images, answer)
    _check_budget(explain, images, answer)
    _check_seed(explain, images, answer)
    _check_access(explainer, architecture, info, images, answer)
    _check_extremes(explainer, architecture, info, images)
    if explainer.surrogate:
        _check_surrogate(explainer, in_frozen_training(model), images)
        _check_gradients(explainer, small_classifier(architecture, info).double(), images.double())
        _check_statistics(explainer, architecture, info, images)


def _check_answers(explain: BoundExplainer, images: Images) -> Explanation:
    given = images.clone()
    answers = repeated("explaining", lambda: explain(images))
    answer = answers.first
    require(torch.equal(images, given), "expected the images to be left as they were, but explaining changed them")
    with torch.no_grad():
        logits = explain.model(images)
        ungraded = explain(images)
    with torch.inference_mode():
        inferred = explain(images.clone())
    require(
        answer.logits.shape == logits.shape and relative_distance(logits, answer.logits) < _ROUNDING,
        "expected the logits that the model gives, got others",
    )
    require(answer.maps.dtype == torch.float32, f"expected maps in single precision, got {answer.maps.dtype}")
    require(
        explain.explainer.signed or bool((answer.maps >= 0).all()),
        "expected maps without negative values, or the class variable signed = True, got negative values",
    )
    require(
        not explain.explainer.adds_up
        or (explain.explainer.signed and explain.background is not None and answer.maps.shape[1:] == images.shape[2:]),
        "expected signed maps of the image's size against a background set, or the class variable adds_up = False",
    )
    require(torch.equal(answers.second.maps, answer.maps), "expected the same maps from the same call, got others")
    require(torch.equal(ungraded.maps, answer.maps), "expected the same maps under torch.no_grad(), got others")
    require(torch.equal(inferred.maps, answer.maps), "expected the same maps in torch.inference_mode(), got others")
    predicted = explain(images, logits.argmax(1))
    require(
        relative_distance(predicted.maps, answer.maps) < _ROUNDING,
        "expected classes=None to explain the predicted class, got other maps than for that class",
    )
    return answer


def _check_rows(explain: BoundExplainer, images: Images, answer: Explanation) -> None:
    for row in range(len(images)):
        alone = explain(images[row : row + 1])
        require(
            relative_distance(alone.maps[0], answer.maps[row]) < _ROUNDING,
            "expected an image's map not to depend on the other images of its batch, got another map for it alone",
        )
    nothing = explain(images[:0]).maps.shape
    require(nothing == (0, *answer.maps.shape[1:]), f"expected no map of no image, got maps of shape {tuple(nothing)}")


def _check_columns(explain: BoundExplainer, images: Images, answer: Explanation) -> None:
    logits, maps = explain.columns(images)
    classes = logits.shape[1]
    require(
        maps.shape == (len(images), classes, *answer.maps.shape[1:]),
        f"expected columns [{len(images)}, {classes}, ...] of maps of the same size, got {tuple(maps.shape)}",
    )
    for number in (0, classes - 1):
        alone = explain(images, torch.full((len(images),), number))
        require(
            relative_distance(alone.maps, maps[:, number]) < _ROUNDING,
            "expected a class's column to be its map, got another",
        )


def _check_budget(explain: BoundExplainer, images: Images, answer: Explanation) -> None:
    sparing = replace(explain, memory_mb=1e-6)
    require(
        relative_distance(answer.maps, sparing(images).maps) < _ROUNDING,
        "expected the same maps where little memory may be taken, got others",
    )


def _check_seed(explain: BoundExplainer, images: Images, answer: Explanation) -> None:
    explainer = explain.explainer
    require(
        explainer.stochastic == ("seed" in type(explainer).model_fields),
        "expected a field 'seed' where the class variable stochastic is True, and none where it is not",
    )
    if not explainer.stochastic:
        return
    other = replace(explain, explainer=explainer.model_copy(update={"seed": 1 + getattr(explainer, "seed", 0)}))
    for changed, by in ((other, "seed"), (explain.with_draw(1), "draw")):
        require(
            not torch.equal(changed(images).maps, answer.maps), f"expected other maps of another {by}, got the same"
        )


def _check_access(
    explainer: Explainer, architecture: Architecture, info: DataInfo, images: Images, answer: Explanation
) -> None:
    """Explain a model that lets no gradient pass, where the explainer says that it needs none."""
    if explainer.access not in ("answers", "activations"):
        return
    model = small_classifier(architecture, info)
    model.register_forward_hook(lambda _model, _images, logits: logits.detach())
    maps = attached(explainer, model)(images).maps
    require(
        relative_distance(answer.maps, maps) < _ROUNDING,
        f"expected the same maps without gradients, as the class variable access says '{explainer.access}', got others",
    )


def _check_extremes(explainer: Explainer, architecture: Architecture, info: DataInfo, images: Images) -> None:
    """Try frozen weights and what has no contrast; the bound explainer itself refuses maps that are not finite."""
    frozen = attached(explainer, small_classifier(architecture, info).requires_grad_(False))
    for flat in (torch.zeros_like(images), torch.ones_like(images)):
        try:
            frozen(flat)
        except RuntimeError as error:
            message = "expected it to explain black and white images with a model whose weights are frozen"
            raise ConformanceError(f"{message} (requires_grad = False), got {type(error).__name__}: {error}") from error
    attached(explainer, dead(small_classifier(architecture, info)))(images)


def _check_surrogate(explainer: Explainer, model: Classifier, images: Images) -> None:
    before = Snapshot(model)
    explain = attached(explainer, model).differentiable
    logits = model(images)
    classes = logits.detach().argmax(1)
    some = explain(images, classes, torch.tensor(_ROWS))
    before.require_unchanged("differentiable()")
    whole = explain(images, classes)
    none = explain(images, classes, torch.arange(0))
    for answer, rows in ((whole, len(images)), (some, len(_ROWS)), (none, 0)):
        require(
            answer.logits.shape == logits.shape and relative_distance(logits, answer.logits) < _ROUNDING,
            "expected the model's logits of all images, whatever rows are explained, got others",
        )
        require(
            answer.maps.ndim == 3 and len(answer.maps) == rows, f"expected maps of {rows} rows, got {answer.maps.shape}"
        )
    require(
        relative_distance(whole.maps[list(_ROWS)], some.maps) < _ROUNDING,
        "expected the maps of the rows asked for, in their order, got others",
    )
    columns = attached(explainer, model).differentiable_columns(images, torch.tensor(_ROWS))
    require(
        columns.logits.shape == logits.shape and relative_distance(logits, columns.logits) < _ROUNDING,
        "expected the model's logits of all images, whatever rows' columns are explained, got others",
    )
    wanted = classes[list(_ROWS)]
    require(
        relative_distance(some.maps, columns.maps[torch.arange(len(_ROWS)), wanted]) < _ROUNDING,
        "expected each row's map of its class to be the same among the maps of every class, got another",
    )
    require(
        whole.logits.requires_grad and whole.maps.requires_grad and columns.maps.requires_grad,
        "expected differentiable logits and maps, got some without gradient",
    )
    with torch.autocast(images.device.type, dtype=torch.bfloat16):
        rounded = explain(images, classes)
    require(
        rounded.maps.dtype == torch.float32 and bool(rounded.maps.isfinite().all()),
        f"expected finite maps in single precision also under autocast, got {rounded.maps.dtype}",
    )
    before.require_unchanged("differentiable()")


def _check_statistics(explainer: Explainer, architecture: Architecture, info: DataInfo, images: Images) -> None:
    """Let batch norm's running statistics follow one pass, however many rows and classes are explained."""
    plain = small_classifier(architecture, info).train()
    plain(images)
    expected = dict(plain.named_buffers())
    rows = torch.tensor(_ROWS)
    explained = {name: small_classifier(architecture, info).train() for name in ("", "_columns")}
    attached(explainer, explained[""]).differentiable(images, None, rows)
    attached(explainer, explained["_columns"]).differentiable_columns(images, rows)
    for name, model in explained.items():
        for buffer, value in model.named_buffers():
            require(
                relative_distance(expected[buffer].float(), value.float()) < _ROUNDING,
                f"expected differentiable{name}() to move batch norm's running statistics as one pass of all images "
                f"does, got another {buffer}",
            )


def _check_gradients(explainer: Explainer, model: Classifier, images: Images) -> None:
    before = Snapshot(model)
    weights = tuple(model.parameters())
    own = torch.autograd.grad(model(images).square().sum(), weights)
    explain = attached(explainer, model)
    logits, maps = explain.differentiable(images)
    (logits.square().sum() + 0 * maps.sum()).backward()
    found = [weight.grad for weight in weights]
    agree = all(f is not None and relative_distance(o, f) < _ROUNDING for o, f in zip(own, found, strict=True))
    require(agree, "expected the gradient of the logits to be the model's own, got another")
    model.zero_grad()
    before.require_unchanged("a backward pass")
    error = error_of_weight_gradient(explain, images)
    require(
        error < _GRADIENT_ERROR,
        "expected the maps' gradient by the weights to agree with finite differences in double precision, "
        f"got an error of {error:.0%}",
    )
