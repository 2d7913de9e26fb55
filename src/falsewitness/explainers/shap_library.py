"""Shapley values by the library shap: a witness whose code is not ours."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field

from falsewitness.core import InputError, seed_for
from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Background, Classes, Images
from falsewitness.explainers._base import Explainer
from falsewitness.explainers._draws import Seed
from falsewitness.explainers._scores import chosen_classes
from falsewitness.explainers._subject import Columns, Subject
from falsewitness.models import Classifier

Values = Float[np.ndarray, "batch channels height width classes"]

_LARGEST_NUMPY_SEED = 2**32
_GRADIENT_SAMPLES = 200
_NUMBERS_OF_A_DIGIT = 28 * 28
"""Of MNIST: what KernelExplainer costs by default depends on the image, of which its configuration knows nothing."""


class ShapLibrary(Explainer):
    """What each pixel adds to the class score, as the library shap computes it (Lundberg and Lee 2017).

    The map is the sum of a pixel's values over its colour channels. Three of the library's explainers are at hand:
    GradientExplainer (expected gradients), DeepExplainer (DeepLIFT's rules) and KernelExplainer, which sees answers
    alone and needs tens of thousands of them for each image. It needs `pip install 'falsewitness[shap]'`.
    """

    kind: Literal["shap_library"] = "shap_library"

    method: Literal["gradient", "deep", "kernel"] = "gradient"
    """Which of the library's explainers."""

    background: Annotated[int, Field(ge=1, le=100_000)] = 50
    """Training images to compare with; `kernel` asks the model once for each of them in every sample."""

    samples: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Draws (`gradient`; 200 where null) or coalitions (`kernel`; 2048 and two a number that varies where null)."""

    seed: Seed = 0
    """Seed of the draws."""

    source: ClassVar[str] = "Lundberg and Lee, NeurIPS 2017; https://github.com/shap/shap"
    signed: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True
    by_class: ClassVar[bool] = True
    adds_up: ClassVar[bool] = True
    explains: ClassVar[str] = (
        "what the library does; `deep` wants one module an activation and nothing changed in place"
    )

    @property
    def passes_per_audit(self) -> float:
        """What logits and a map without gradients cost, roughly."""
        return {
            "gradient": 2 / 3 * (self.samples or _GRADIENT_SAMPLES),
            "deep": 4 / 3 * self.background,
            "kernel": self.background / 3 * (self.samples or _kernel_samples(_NUMBERS_OF_A_DIGIT)),
        }[self.method]

    def _check_model(self, model: Classifier) -> None:
        _library()

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        logits, columns = self._explain_columns(subject, images)
        rows = torch.arange(len(images), device=images.device)
        return Explanation(logits, columns[rows, chosen_classes(logits, classes)])

    def _explain_columns(self, subject: Subject, images: Images) -> Columns:
        assert subject.background is not None  # noqa: S101 - bind() has seen to it
        # The library leaves hooks and attributes behind.
        model = copy.deepcopy(subject.model)
        with torch.no_grad():
            logits = subject.model(images)
        if not len(images):
            return Columns(logits, images.new_zeros(0, logits.shape[1], *images.shape[2:]))
        # One by one: the library's draws for an image depend on those that come before it.
        with _numpy_seeded(seed_for(self.seed, f"explainer/{subject.draw}") % _LARGEST_NUMPY_SEED) as again:
            found = []
            for row in range(len(images)):
                again()
                found.append(self._values(model, subject.background, images[row : row + 1], subject.inputs_at_once))
        maps = np.concatenate(found).sum(1).transpose(0, 3, 1, 2)
        return Columns(logits, torch.from_numpy(np.ascontiguousarray(maps)).to(images))

    def _values(self, model: Classifier, background: Background, image: Images, at_once: int) -> Values:
        shap = _library()
        if self.method == "gradient":
            explainer = shap.GradientExplainer(model, background, batch_size=at_once)
            return np.asarray(explainer.shap_values(image, nsamples=self.samples or _GRADIENT_SAMPLES))
        if self.method == "deep":
            with _told_of_what_it_cannot_explain():
                return np.asarray(shap.DeepExplainer(model, background).shap_values(image, check_additivity=False))
        shape = tuple(image.shape[1:])
        _expect_memory((self.samples or _kernel_samples(image.numel())) * len(background) * image.numel())

        def answers(pixels: Float[np.ndarray, "inputs pixels"]) -> Float[np.ndarray, "inputs classes"]:
            inputs = torch.from_numpy(pixels).to(image).view(len(pixels), *shape)
            with torch.no_grad():
                return torch.cat([model(part) for part in inputs.split(at_once)]).double().cpu().numpy()

        flat = background.flatten(1).double().cpu().numpy()
        explainer = shap.KernelExplainer(answers, flat)
        # Its default keeps ten pixels and sets all others to zero.
        values = explainer.shap_values(
            image.flatten(1).double().cpu().numpy(), nsamples=self.samples or "auto", l1_reg=False, silent=True
        )
        return np.asarray(values).reshape(1, *shape, -1)


def _kernel_samples(numbers: int) -> int:
    """Return how many coalitions KernelExplainer's `nsamples="auto"` asks about at most: those that vary count."""
    return 2 * numbers + 2**11


def _expect_memory(numbers: int) -> None:
    """Expect room for what KernelExplainer puts side by side: every background image for every coalition, in float64.

    Raises:
        InputError: If it is more than the machine has.
    """
    wanted, held = 8 * numbers, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if wanted > held:
        raise InputError(
            f"explainer 'shap_library': the library's KernelExplainer wants up to {wanted / 1e9:.0f} GB for its "
            f"samples, more than the {held / 1e9:.0f} GB of this machine; lower background or samples"
        )


@contextmanager
def _told_of_what_it_cannot_explain() -> Iterator[None]:
    """Say what a network must not do, where torch or a warning says what the library's hooks cannot bear.

    Raises:
        InputError: If the network changes what a hooked layer gave, or has a layer for which there is no rule.
    """
    instead = "choose the method gradient or kernel"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "unrecognized nn.Module")
            yield
    except UserWarning as warning:
        if "unrecognized" not in str(warning):
            raise
        raise InputError(
            f"explainer 'shap_library': the library's DeepExplainer has no rule for a layer ({warning}); {instead}"
        ) from None
    except RuntimeError as error:
        if "BackwardHookFunction" not in str(error):
            raise
        raise InputError(
            "explainer 'shap_library': the library's DeepExplainer cannot explain a network that changes the output of "
            f"a layer in place, as `x += shortcut` does; {instead}, or the explainer deep_shap"
        ) from None


def _library() -> Any:  # noqa: ANN401 - it has no types
    """Return the library.

    Raises:
        InputError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():  # it calls what matplotlib will have no longer
            warnings.simplefilter("ignore")
            import shap
    except ImportError:
        raise InputError(
            "explainer 'shap_library' needs the library shap, which is not installed; run "
            "`pip install 'falsewitness[shap]'`"
        ) from None
    return shap


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[Any]:
    """Give what seeds numpy's global random numbers, which the library draws from; they are as before afterwards."""
    before = np.random.get_state()
    try:
        yield lambda: np.random.seed(seed)
    finally:
        np.random.set_state(before)
