"""Times explainers against captum's and shap's, on the same model, images, samples and backgrounds.

    python benchmarks/explainers.py
    python benchmarks/explainers.py --repetitions 3 --only gradient_shap kernel_shap

Peak memory is what one explanation adds to a process that has done nothing but build the model.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from _measure import in_a_fresh_process, in_turns, parser, peak_memory_mb, quotients, short, spread, table
from _workload import INFO, classifier
from torch import Tensor

from falsewitness.explainers import EXPLAINERS, BoundExplainer
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

Explain = Callable[[Classifier, Tensor, Tensor], object]
"""Another library's explanation of images, given a background."""

BACKGROUND = 20


@dataclass(frozen=True)
class Contest:
    """One of our explainers beside another library's.

    Attributes:
        kind: Ours.
        fields: Its hyperparameters.
        other: The library's name of the method.
        explain: Its explanation of the first class.
        images: How many are explained.
        wanted: How many times as fast ours should be at least.
        model: ``resnet20``, or ``convnet`` where the other library cannot explain residual networks.
    """

    kind: str
    fields: Mapping[str, Any]
    other: str
    explain: Explain
    images: int = 32
    wanted: float = 1.0
    model: str = "resnet20"


def _captum(name: str, **settings: Any) -> Explain:  # noqa: ANN401
    """Return what calls an explainer of captum's for the first class."""

    def explain(model: Classifier, images: Tensor, background: Tensor) -> object:
        import captum.attr

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(captum.attr, name)(model).attribute(images.clone().requires_grad_(), target=0, **settings)

    return explain


def _gradcam(model: Classifier, images: Tensor, background: Tensor) -> object:
    from captum.attr import LayerGradCam

    return LayerGradCam(model, model.network.layer3).attribute(images, target=0, relu_attributions=True)


def _smoothgrad(model: Classifier, images: Tensor, background: Tensor) -> object:
    from captum.attr import NoiseTunnel, Saliency

    tunnel = NoiseTunnel(Saliency(model))
    return tunnel.attribute(
        images.clone().requires_grad_(), target=0, nt_samples=50, nt_samples_batch_size=5, stdevs=0.15, abs=False
    )


def _gradient_shap(model: Classifier, images: Tensor, background: Tensor) -> object:
    from captum.attr import GradientShap

    return GradientShap(model).attribute(images, baselines=background, target=0, n_samples=100, stdevs=0.0)


def _deep_shap(model: Classifier, images: Tensor, background: Tensor) -> object:
    from captum.attr import DeepLiftShap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return DeepLiftShap(model).attribute(images, baselines=background, target=0)


def _grid(side: int) -> Tensor:
    """Return captum's mask of a grid of segments: each pixel's segment."""
    places = torch.arange(INFO.height) * side // INFO.height
    return (places[:, None] * side + places[None, :])[None, None]


def _kernel_shap(at_once: int) -> Explain:
    """Return captum's KernelShap that asks about so many altered images at once; 1 is how it comes."""

    def explain(model: Classifier, images: Tensor, background: Tensor) -> object:
        from captum.attr import KernelShap

        return KernelShap(model).attribute(
            images,
            baselines=background[:1],
            target=0,
            feature_mask=_grid(8),
            n_samples=500,
            perturbations_per_eval=at_once,
        )

    return explain


def _lime(model: Classifier, images: Tensor, background: Tensor) -> object:
    from captum.attr import Lime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Lime(model).attribute(images, target=0, feature_mask=_grid(8), n_samples=500, perturbations_per_eval=100)


def _shap_gradient(model: Classifier, images: Tensor, background: Tensor) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        # It explains every class, as our columns do.
        return shap.GradientExplainer(model, background).shap_values(images, nsamples=100)


CONTESTS = {
    "gradcam": Contest("gradcam", {}, "captum LayerGradCam", _gradcam),
    "gradient": Contest("gradient", {}, "captum Saliency", _captum("Saliency")),
    "input_x_gradient": Contest("input_x_gradient", {}, "captum InputXGradient", _captum("InputXGradient")),
    "smoothgrad": Contest("smoothgrad", {"samples": 50}, "captum NoiseTunnel of Saliency", _smoothgrad),
    "integrated_gradients": Contest(
        "integrated_gradients",
        {"steps": 50},
        "captum IntegratedGradients",
        _captum("IntegratedGradients", n_steps=50, internal_batch_size=160),
    ),
    "guided_backprop": Contest("guided_backprop", {}, "captum GuidedBackprop", _captum("GuidedBackprop")),
    "gradient_shap": Contest(
        "gradient_shap", {"samples": 100, "background": BACKGROUND}, "captum GradientShap", _gradient_shap, wanted=2.0
    ),
    "gradient_shap, all classes": Contest(
        "gradient_shap",
        {"samples": 100, "background": BACKGROUND},
        "shap GradientExplainer",
        _shap_gradient,
        images=4,
        wanted=3.0,
    ),
    "deep_shap": Contest("deep_shap", {"background": BACKGROUND}, "captum DeepLiftShap", _deep_shap, images=8),
    "lrp": Contest("lrp", {"composite": "epsilon"}, "captum LRP", _captum("LRP"), model="convnet"),
    "occlusion": Contest(
        "occlusion",
        {"window": 8, "stride": 4},
        "captum Occlusion",
        _captum("Occlusion", sliding_window_shapes=(3, 8, 8), strides=(3, 4, 4), perturbations_per_eval=16),
        images=8,
    ),
    "lime": Contest("lime", {"grid": 8, "samples": 500}, "captum Lime", _lime, images=1),
    "kernel_shap": Contest(
        "kernel_shap",
        {"grid": 8, "samples": 500, "background": 1},
        "captum KernelShap",
        _kernel_shap(1),
        images=1,
        wanted=2.0,
    ),
    "kernel_shap, 100 at once": Contest(
        "kernel_shap",
        {"grid": 8, "samples": 500, "background": 1},
        "captum KernelShap, 100 at once",
        _kernel_shap(100),
        images=1,
    ),
}


@dataclass(frozen=True)
class Ready:
    """A contest's model and images in place, and our explainer bound to it."""

    contest: Contest
    model: Classifier
    images: Tensor
    background: Tensor
    bound: BoundExplainer

    @staticmethod
    def of(title: str, device: torch.device) -> Ready:
        """Build what a contest needs."""
        contest = CONTESTS[title]
        model = (
            ConvNet(width=16).bind(INFO, seed=0, std=(0.25,)).to(device)
            if contest.model == "convnet"
            else classifier(contest.model, device)
        ).eval()
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(contest.images, 3, 32, 32, generator=generator).to(device)
        background = torch.rand(BACKGROUND, 3, 32, 32, generator=generator).to(device)
        explainer = EXPLAINERS.get(contest.kind).parse({"kind": contest.kind, **contest.fields}, contest.kind)
        bound = explainer.bind(model, background=background[: max(1, explainer.background_size)])
        return Ready(contest, model, images, background, bound)

    def ours(self) -> object:
        """Explain by our explainer."""
        if self.contest.explain is _shap_gradient:
            return self.bound.columns(self.images)
        return self.bound(self.images, torch.zeros(len(self.images), dtype=torch.long, device=self.images.device))

    def theirs(self) -> object:
        """Explain by the other library's."""
        return self.contest.explain(self.model, self.images, self.background)


def peak_memory(title: str, whose: str, device: torch.device) -> float:
    """Return how many MB an explanation adds to a process that has built the model and predicted."""
    ready = Ready.of(title, device)
    with torch.no_grad():
        ready.model(ready.images[:1])
    before = peak_memory_mb(device)
    (ready.ours if whose == "ours" else ready.theirs)()
    return peak_memory_mb(device) - before


def line(title: str, arguments: argparse.Namespace) -> tuple[list[str], str]:
    """Return a contest's row and its verdict."""
    ready = Ready.of(title, arguments.device)
    times = in_turns({"ours": ready.ours, "theirs": ready.theirs}, arguments.repetitions, arguments.device)
    memory = {whose: in_a_fresh_process(peak_memory, title, whose, arguments.device) for whose in ("ours", "theirs")}
    faster = spread(quotients(times["theirs"], times["ours"]))
    contest = ready.contest
    row = [
        title,
        contest.other,
        f"{contest.images}, {contest.model}",
        *(short(spread(times[whose]).median) for whose in ("ours", "theirs")),
        str(faster),
        *(f"{memory[whose]:.0f}" for whose in ("ours", "theirs")),
    ]
    met = "met" if faster.median >= contest.wanted else "**missed**"
    return row, f"- {title}: wanted at least {contest.wanted:g} times as fast, found {short(faster.median)}: {met}"


def main(words: Sequence[str] | None = None) -> None:
    """Print the section."""
    options = parser(__doc__)
    options.add_argument("--only", nargs="+", choices=tuple(CONTESTS), default=tuple(CONTESTS), metavar="NAME")
    arguments = options.parse_args(words)
    lines = [line(title, arguments) for title in arguments.only]
    head = ["explainer", "other library", "images, model", "s", "s there", "times as fast", "MB", "MB there"]
    verdicts = "\n".join(told for _, told in lines)
    told = (
        f"Ours, bound once, beside those of captum {version('captum')} and shap {version('shap')} on the same noise "
        "images, samples and backgrounds, in turns, in fp32; memory is what one explanation adds to a fresh process."
    )
    print(f"## Explainers\n\n{told}\n\n{table(head, [row for row, _ in lines])}\n\n{verdicts}")


if __name__ == "__main__":
    main()
