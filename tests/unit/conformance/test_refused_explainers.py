"""Explainers that break one promise each: the check must say which."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal

import jaxtyping
import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from falsewitness.conformance import ConformanceError, check_component
from falsewitness.core import InputError
from falsewitness.core.explanation import Explanation
from falsewitness.core.shapes import Classes, Images, Rows
from falsewitness.explainers import Columns, Explainer, Subject
from falsewitness.explainers.gradcam import GradCam
from falsewitness.models import Classifier


class Honest(Explainer):
    """Grad-CAM under another name: keeps every promise."""

    kind: Literal["honest"] = "honest"
    source: ClassVar[str] = "this test"
    surrogate: ClassVar[bool] = True

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        logits, maps = GradCam()._explain(subject, images, classes, differentiable=differentiable)
        return Explanation(logits, self._changed(subject.model, images, maps))

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps


class OneForAll(Honest):
    """Gives one map for the whole batch."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps.mean(0, keepdim=True)


class Misspelt(Honest):
    """Names a field that it does not have."""

    only_in_training: ClassVar[frozenset[str]] = frozenset({"smothness"})


class Careless(Honest):
    """Draws from torch's own random numbers."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps + 0.01 * torch.rand_like(maps)


class Reseeding(Honest):
    """Gives torch's own random numbers a seed, so that it draws the same each time, and everybody after it."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        torch.manual_seed(0)
        return maps + 0.01 * torch.rand(maps.shape[1:])


class Elsewhere(Honest):
    """Does the same to numpy's."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        np.random.seed(0)
        return maps


class Particular(Honest):
    """Chooses how many threads everybody has."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        torch.set_num_threads(1 + torch.get_num_threads() % 2)
        return maps


class Failing(Honest):
    """Has a fault of its own."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        raise KeyError("nothing here")


class Naked(Honest):
    """Gives logits and maps without their names."""

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        found = super()._explain(subject, images, classes, differentiable=differentiable)
        return (found.logits, found.maps)  # type: ignore[return-value]


class Silent(Honest):
    """Forgets to give anything."""

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        return None  # type: ignore[return-value]


class Foreign(Honest):
    """Gives maps of another library."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps.detach().numpy()  # type: ignore[return-value]


class Warm(Honest):
    """Wants gradients by the weights, which not every model has."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        torch.autograd.grad(model(images).sum(), tuple(model.parameters()), allow_unused=True)
        return maps


class Fickle(Honest):
    """Has random numbers of its own, without a seed."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps * (1 + 0.1 * float(np.random.default_rng().random()))


class Sociable(Honest):
    """Scales every map by the highest value of the batch."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps / (maps.detach().amax() + 1e-6)


class Proud(Honest):
    """Stretches maps to [0, 1], also those without contrast."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps / maps.detach().amax((1, 2), keepdim=True)


class Negative(Honest):
    """Gives negative maps without saying that they are signed."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps - 1


class Rough(Honest):
    """Gives maps in half precision."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps.bfloat16()


class Rounded(Honest):
    """Computes maps in half precision where forward passes are."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps.bfloat16() if torch.is_autocast_enabled("cpu") else maps


class Littering(Honest):
    """Leaves a hook on the model."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        model.network.get_submodule("fc").register_forward_hook(lambda *_: None)
        return maps


class Souvenir(Honest):
    """Leaves an attribute on a layer."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        model.network.get_submodule("fc").activation = maps.detach()
        return maps


class Sleepy(Honest):
    """Forgets to put the model back in the mode it was in."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        model.train(not model.training)
        return maps


class Disturbing(Honest):
    """Passes the images in training mode, which moves running statistics, and puts the mode back."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        modes = [(module, module.training) for module in model.modules()]
        model.train()(images)
        for module, mode in modes:
            module.training = mode
        return maps


class Hoarding(Honest):
    """Leaves gradients on the weights."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        model(images).sum().backward()
        return maps


class Painting(Honest):
    """Works on the images in place."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        with torch.no_grad():
            images.mul_(0.99)
        return maps


class Stubborn(Honest):
    """Explains the first class where none is asked for."""

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        first = torch.zeros(len(images), dtype=torch.long)
        return super()._explain(subject, images, first if classes is None else classes, differentiable=differentiable)


class Sure(Honest):
    """Hands out probabilities for logits."""

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        logits, maps = super()._explain(subject, images, classes, differentiable=differentiable)
        return Explanation(logits.softmax(1), maps)


class Lazy(Honest):
    """Explains no network at all."""

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        raise InputError("not today")


class Detached(Honest):
    """Says that it is a surrogate, but its maps carry no gradients."""

    def _changed(self, model: Classifier, images: Images, maps: Tensor) -> Tensor:
        return maps.detach()


@contextmanager
def without_gradient(weight: Tensor) -> Iterator[None]:
    weight.requires_grad_(False)
    yield
    weight.requires_grad_()


class HalfWay(Honest):
    """Its maps reach the weights below the feature map but not those of the last layer, and nobody is told."""

    def _explain(
        self, subject: Subject, images: Images, classes: Classes | None, *, differentiable: bool
    ) -> Explanation:
        logits = subject.model(images)
        head = subject.model.linear_head
        assert head is not None
        with without_gradient(head.weight):
            maps = super()._explain(subject, images, classes, differentiable=differentiable).maps
        return Explanation(logits, maps)


class Forgetful(Honest):
    """Gives the maps of all rows, whichever are asked for."""

    def _explain_rows(self, subject: Subject, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        return self._explain(subject, images, classes, differentiable=True)


class Unordered(Honest):
    """Gives the maps of the rows asked for in an order of its own."""

    def _explain_rows(self, subject: Subject, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        return super()._explain_rows(subject, images, classes, rows.sort().values)


class Shifted(Honest):
    """Gives maps of every class in an order of its own where it is trained against."""

    def _explain_row_columns(self, subject: Subject, images: Images, rows: Rows) -> Columns:
        logits, maps = super()._explain_row_columns(subject, images, rows)
        return Columns(logits, maps.roll(1, 1))


class Stirring(Honest):
    """Lets every class that it is trained on move batch norm's running statistics."""

    def _explain_row_columns(self, subject: Subject, images: Images, rows: Rows) -> Columns:
        subject.model(images)
        return super()._explain_row_columns(subject, images, rows)


class Sparing(Honest):
    """Gives logits only of the rows whose maps are asked for."""

    def _explain_rows(self, subject: Subject, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        logits, maps = super()._explain_rows(subject, images, classes, rows)
        return Explanation(logits[rows], maps)


class Untidy(Honest):
    """Leaves batch norm in training mode after a training step."""

    def _explain_rows(self, subject: Subject, images: Images, classes: Classes | None, rows: Rows) -> Explanation:
        explanation = super()._explain_rows(subject, images, classes, rows)
        for module in subject.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train()
        return explanation


class Unsourced(Honest):
    """Names no paper."""

    source: ClassVar[str] = ""


class Unexplained(Honest):
    """Has a field that nobody describes."""

    samples: int = 3


class Undescribed(Honest):
    samples: int = 3
    """How many."""


class Lossy(Honest):
    """Has a field that plain data does not bring back."""

    secret: Annotated[int, Field(exclude=True)] = 3
    """Left out of plain data."""


def test_an_explainer_that_keeps_its_promises_is_accepted() -> None:
    check_component(Honest())


@pytest.mark.parametrize(
    ("explainer", "reason"),
    [
        (OneForAll(), r"expected maps \[3, height, width\], got \(1, 16, 16\)"),
        (Misspelt(), "expected the class variable only_in_training to name fields, got smothness"),
        (Careless(), "explaining changes torch's global random numbers"),
        (Reseeding(), "explaining changes torch's global random numbers"),
        (Elsewhere(), "explaining changes numpy's global random numbers"),
        (Particular(), "explaining changes torch's number of threads"),
        (Failing(), r"raised KeyError: 'nothing here' \(.*test_refused_explainers\.py, line \d+\)"),
        (Naked(), "expected an Explanation or Columns .*, got tuple of Tensor, Tensor"),
        (Silent(), "expected an Explanation or Columns .*, got NoneType"),
        (Foreign(), "from explainer 'honest', got Explanation of Tensor, ndarray"),
        (Warm(), "with a model whose weights are frozen .* got RuntimeError: element 0 of tensors does not require"),
        (Fickle(), "expected the same maps from the same call"),
        (Sociable(), "not to depend on the other images of its batch"),
        (Proud(), "expected finite maps, got a value that is not from explainer 'honest'"),
        (Negative(), "expected maps without negative values, or the class variable signed = True"),
        (Rough(), "expected maps in single precision, got torch.bfloat16"),
        (Rounded(), "in single precision also under autocast, got torch.bfloat16"),
        (Littering(), "explaining to leave the model .* changed the number of hooks of layer 'network.fc' from 0 to"),
        (Souvenir(), "changed the attributes of layer 'network.fc'"),
        (Sleepy(), "changed the mode of"),
        (Disturbing(), "changed the values of network.layers.0.1.running_mean"),
        (Hoarding(), "changed the gradient of network.layers.0.0.weight from none to some"),
        (Painting(), "expected the images to be left as they were"),
        (Stubborn(), "expected classes=None to explain the predicted class"),
        (Sure(), "expected the logits that the model gives"),
        (Lazy(), "expected it to explain a small network, got convnet: not today; .*; resnet20: not today"),
        (Detached(), "expected differentiable logits and maps, got some without gradient"),
        (HalfWay(), r"agree with finite differences in double precision, got an error of \d+%"),
        (Forgetful(), "expected maps of 2 rows"),
        (Unordered(), "expected the maps of the rows asked for, in their order"),
        (Shifted(), "expected each row's map of its class to be the same among the maps of every class"),
        (Stirring(), r"expected differentiable_columns\(\) to move batch norm's running statistics as one pass"),
        (Sparing(), "expected the model's logits of all images"),
        (Untidy(), r"differentiable\(\) to leave the model as it was, but it changed the mode of layer"),
        (Unsourced(), "expected the paper, equation or section in the class variable source"),
        (Unexplained(), "expected a docstring under the field samples"),
        (Undescribed(), "expected a docstring, got none"),
        (Lossy(secret=4), r"expected parse\(plain\(\)\) to give an equal component"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Explainer) else "",
)
def test_a_broken_promise_is_named(explainer: Explainer, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Annotations are not enforced for users: the check itself must say what is wrong.
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    threads = torch.get_num_threads()
    with pytest.raises(ConformanceError, match=rf"^{type(explainer).__name__} 'honest':? .*{reason}"):
        check_component(explainer)
    torch.set_num_threads(threads)
