"""The contract of an explainer."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from falsewitness.core import Component, InputError
from falsewitness.core.explanation import Explanation
from falsewitness.core.maps import upsampled
from falsewitness.core.shapes import Background, Classes, Images, Rows
from falsewitness.explainers._budget import bytes_of_activations, inputs_at_once
from falsewitness.explainers._checks import described, expect_finite_maps, expect_known_to_model, expect_shapes
from falsewitness.explainers._subject import Access, Columns, Subject
from falsewitness.models import Classifier, as_audited, statistics_kept


class Explainer(Component):
    """A way to explain a classifier's score by a map over the image.

    A new one overrides :meth:`_explain`. Bind it to a model to use it::

        explain = GradCam().bind(model)
        logits, maps = explain(images)
        logits, maps = explain.columns(images)  # a map for every class
        maps = explain.on_pixels(images).maps  # as large as the image

    What is explained is always a logit, never a probability.
    """

    signed: ClassVar[bool] = False
    """Whether maps may be negative."""

    surrogate: ClassVar[bool] = False
    """Whether an attack can train against it: its maps then carry gradients to the weights."""

    access: ClassVar[Access] = "gradients"
    """What it must reach of the model."""

    stochastic: ClassVar[bool] = False
    """Whether it draws random numbers: then it has a field ``seed``, and the same seed gives the same map."""

    by_class: ClassVar[bool] = False
    """Whether its maps are usually shown for every class, as SHAP's are: a run's gallery keeps them so."""

    adds_up: ClassVar[bool] = False
    """Whether the values of all pixels add up to the score less its mean over the background set (efficiency), exactly
    or in expectation."""

    only_in_training: ClassVar[frozenset[str]] = frozenset()
    """Fields that say how an attack trains against the maps; an auditor's maps do not depend on them."""

    explains: ClassVar[str] = "any classifier"
    """Which models it can explain, in words; others it refuses when it is bound."""

    @final
    def as_auditor(self) -> "Explainer":
        """Return the same with defaults for what says only how an attack trains against it: equal ones, equal maps."""
        return self.model_copy(update={name: type(self).model_fields[name].default for name in self.only_in_training})

    @property
    def passes_per_map(self) -> float:
        """What a map costs in training: forward-and-backward passes beside the one that gives the logits."""
        return 0.0

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map without gradients cost: a forward pass alone is a third of forward and backward."""
        return 1 / 3

    def passes_per_columns(self, classes: int) -> float:
        """Return what logits and maps of some classes cost without gradients: the pass for the logits is shared."""
        return 1 / 3 + (self.passes_per_audit - 1 / 3) * classes

    @final
    @property
    def background_size(self) -> int:
        """How many training images it compares with: the field ``background`` of an explainer that has one."""
        return int(getattr(self, "background", 0))

    @final
    def bind(
        self,
        model: Classifier,
        *,
        background: Background | None = None,
        memory_mb: float | None = None,
        draw: int = 0,
    ) -> "BoundExplainer":
        """Attach the explainer to a model.

        Use it in one thread: some layers may compute otherwise, or be traced, while a model is explained.

        Args:
            model: What is explained.
            background: Training images in [0, 1] to compare with: of an explainer whose ``background_size`` is not 0.
            memory_mb: What activations may take, roughly; the work is split accordingly. What is usual on the device
                where None.
            draw: Which draw of random numbers to use, for explainers that are stochastic.

        Raises:
            InputError: If it cannot explain a model of this kind, or lacks a background.
        """
        self._check_model(model)
        if self.background_size and (background is None or len(background) == 0):
            raise InputError(
                f"explainer '{self.kind}' compares with training images: expected a background set, got none; give "
                "a run folder, which tells the data"
            )
        return BoundExplainer(self, model, background if self.background_size else None, memory_mb, draw)

    def _check_model(self, model: Classifier) -> None:
        """Raise InputError for a model that the explainer cannot explain."""

    @abstractmethod
    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        """Return logits and maps for the classes, or for the predicted ones; gradients are enabled when this is called.

        An image's map must not depend on the other images. With ``differentiable`` logits and maps must carry gradients
        to the model's weights; without, there are no more images than may go through the model at once.
        """

    def _explain_rows(self, subject: Subject, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        """Return differentiable logits of all images and maps of some; overridden where a map costs extra passes."""
        logits, maps = self._explain(subject, images, classes, differentiable=True)
        return Explanation(logits, maps[rows])

    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        """Return a map for every class, without gradients; overridden where that costs less than one each."""
        logits, first = self._explain(subject, images, _all_of(0, images), differentiable=False)
        others = (
            self._explain(subject, images, _all_of(number, images), differentiable=False).maps
            for number in range(1, logits.shape[1])
        )
        return Columns(logits, torch.stack([first, *others], 1))

    def _explain_row_columns(self, subject: Subject, images: Images, rows: Rows) -> Columns:
        """Return differentiable logits of all images and, of some, a map for every class; overridden likewise."""
        logits, first = self._explain_rows(subject, images, _all_of(0, images), rows)
        with statistics_kept(subject.model):  # which one pass is to move, not one a class
            others = [
                self._explain_rows(subject, images, _all_of(number, images), rows).maps
                for number in range(1, logits.shape[1])
            ]
        return Columns(logits, torch.stack([first, *others], 1))


def _open_to_gradients(tensor: Tensor) -> Tensor:
    """Return what a backward pass may keep, also where it was made in inference mode."""
    with torch.inference_mode(False):
        return tensor.clone() if tensor.is_inference() else tensor


def _as_indices(classes: Classes) -> Classes:
    """Return classes of any whole type as numbers of rows; of 8 bits they would be taken for a mask."""
    with torch.inference_mode(False):
        return _open_to_gradients(classes).long()


def _all_of(number: int, images: Images) -> Classes:
    return torch.full((len(images),), number, device=images.device)


@dataclass(frozen=True)
class BoundExplainer:
    """An explainer attached to a model.

    Attributes:
        explainer: The hyperparameters.
        model: The classifier that is explained.
        background: What it compares with; None where it compares with nothing.
        memory_mb: What activations may take, roughly; None for what is usual on the device.
        draw: Which draw of random numbers it uses.
    """

    explainer: Explainer
    model: Classifier
    background: Background | None = None
    memory_mb: float | None = None
    draw: int = 0
    _bytes_of_one: dict[tuple[tuple[int, ...], torch.dtype], int] = field(
        default_factory=dict, repr=False, compare=False
    )
    """What activations of one image take, by its size and type."""

    def with_draw(self, draw: int) -> "BoundExplainer":
        """Return the same with another draw of random numbers."""
        return replace(self, draw=draw)

    def __call__(self, images: Images, classes: Classes | None = None) -> Explanation:
        """Explain each image's score for its class in evaluation mode, without gradients to the weights.

        Args:
            images: Raw pixels in [0, 1].
            classes: The class to explain for each image; the predicted one where None.

        Raises:
            ValueError: If shapes do not agree, pixels leave [0, 1], there is no such class, or what comes back is no
                explanation with finite maps.
        """
        subject = self._ready(images, classes)
        images, wanted = _open_to_gradients(images), None if classes is None else _as_indices(classes)

        def explained(rows: slice) -> Explanation:
            chosen = None if wanted is None else wanted[rows]
            return self.explainer._explain(subject, images[rows], chosen, differentiable=False)

        logits, maps = self._in_parts(explained, images, subject, "height, width")
        return Explanation(logits, maps)

    def columns(self, images: Images) -> Columns:
        """Explain each image's score for every class in evaluation mode, without gradients to the weights.

        Args:
            images: Raw pixels in [0, 1].

        Raises:
            ValueError: As when it is called.
        """
        subject = self._ready(images, None)
        images = _open_to_gradients(images)

        def explained(rows: slice) -> Columns:
            return self.explainer._explain_columns(subject, images[rows])

        return Columns(*self._in_parts(explained, images, subject, "classes, height, width"))

    def on_pixels(self, images: Images, classes: Classes | None = None) -> Explanation:
        """Explain likewise, with maps brought to the size of the image (bilinear)."""
        logits, maps = self(images, classes)
        return Explanation(logits, upsampled(maps, (images.shape[2], images.shape[3])))

    def differentiable(self, images: Images, classes: Classes | None = None, rows: Rows | None = None) -> Explanation:
        """Explain likewise, with gradients from the logits and the maps to the model's weights.

        Values are not checked here: that would make a GPU wait in every training step. Nor is the work split.

        Args:
            images: Raw pixels in [0, 1].
            classes: The class to explain for each image; the predicted one where None.
            rows: The images whose maps are wanted; all where None. Logits are of all images in any case.

        Raises:
            InputError: If the explainer cannot be trained against.
        """
        subject = self._trained_against(images, classes)
        wanted = None if classes is None else _as_indices(classes)
        with torch.enable_grad():
            if rows is None:
                return self.explainer._explain(subject, images, wanted, differentiable=True)
            return self.explainer._explain_rows(subject, images, wanted, rows)

    def differentiable_columns(self, images: Images, rows: Rows | None = None) -> Columns:
        """Explain every class likewise, with gradients from the logits and the maps to the model's weights.

        Args:
            images: Raw pixels in [0, 1].
            rows: The images whose maps are wanted; all where None. Logits are of all images in any case.

        Raises:
            InputError: If the explainer cannot be trained against.
        """
        subject = self._trained_against(images, None)
        wanted = torch.arange(len(images), device=images.device) if rows is None else rows
        with torch.enable_grad():
            return self.explainer._explain_row_columns(subject, images, wanted)

    def _trained_against(self, images: Images, classes: Classes | None) -> Subject:
        """Check what is given in training and return what is explained."""
        if not self.explainer.surrogate:
            raise InputError(f"explainer '{self.explainer.kind}' cannot be a surrogate: its maps carry no gradients")
        expect_shapes(images, classes)
        return Subject(self.model, self._placed_background(images), max(1, len(images)), self.draw)

    def _ready(self, images: Images, classes: Classes | None) -> Subject:
        """Check what is given and return what is explained."""
        expect_shapes(images, classes)
        expect_known_to_model(self.model, images, classes)
        if len(images) and not (images.min() >= 0 and images.max() <= 1):
            raise ValueError(f"expected raw pixels in [0, 1], got {images.min():.3g} to {images.max():.3g}")
        return Subject(self.model, self._placed_background(images), self._at_once(images), self.draw)

    def _at_once(self, images: Images) -> int:
        """Return how many images may go through the model; it is asked once what one of their size takes."""
        if not len(images):
            return 1
        kind = (tuple(images.shape[1:]), images.dtype)
        if kind not in self._bytes_of_one:
            self._bytes_of_one[kind] = bytes_of_activations(self.model, images[:1])
        return inputs_at_once(self._bytes_of_one[kind], images.device, self.memory_mb)

    def _placed_background(self, images: Images) -> Background | None:
        return None if self.background is None else _open_to_gradients(self.background.to(images))

    def _in_parts(
        self, explain: Callable[[slice], Explanation | Columns], images: Images, subject: Subject, shape: str
    ) -> tuple[Tensor, Tensor]:
        """Return logits and maps of all images, of which no more go through the model at once than may."""
        parts = []
        for start in range(0, max(1, len(images)), subject.inputs_at_once):
            rows = slice(start, start + subject.inputs_at_once)
            with torch.inference_mode(False), torch.enable_grad(), as_audited(self.model):
                found = explain(rows)
            if not isinstance(found, Explanation | Columns):
                raise ValueError(
                    f"expected an Explanation or Columns from explainer '{self.explainer.kind}', got {described(found)}"
                )
            expect_finite_maps(found, len(images[rows]), shape, self.explainer.kind)
            logits, maps = found
            parts.append((logits.detach(), maps.detach()))
        all_logits, all_maps = zip(*parts, strict=True)
        return torch.cat(all_logits), torch.cat(all_maps)
