"""Tries what only a network or the labels can tell, before hours of training are spent on it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from falsewitness.attacks import draw_target_map, is_flat
from falsewitness.core import Fault, InputError, SpecError
from falsewitness.core.shapes import Images
from falsewitness.data import Dataset
from falsewitness.experiment._one_line import told_in_one_line
from falsewitness.experiment._samples import faults_of_test_labels
from falsewitness.experiment._spec import Role, Spec
from falsewitness.experiment._workplace import Workplace
from falsewitness.explainers import Explainer
from falsewitness.models import Classifier


def rehearse(work: Workplace, roles: Sequence[Role]) -> None:
    """Begin the network; for an attack have every explainer look at one image, draw the plan, look for test images.

    Args:
        work: The experiment.
        roles: The models that are wanted of it, in order.

    Raises:
        SpecError: With all that does not fit: weights, explainers (for a layer that the network lacks, say), too few
            images to poison, none to test the attack on.
        RunFailedError: If an explainer fails.
    """
    attacked = "attack" in roles
    faults = list(faults_of_network(work.spec, work.dataset, explained=attacked))
    if attacked:
        faults += faults_of_labels(work.spec, work.dataset)
    if faults:
        raise SpecError(faults, f"spec '{work.spec.name}'")
    work.batches(roles[-1])


def faults_of_labels(spec: Spec, dataset: Dataset) -> Iterator[Fault]:
    """Yield what of an attack does not fit the labels: too few images to poison, none to test it on.

    Args:
        spec: The experiment.
        dataset: Its data.
    """
    if (attack := spec.attack) is None:
        return
    for fault in attack.check_labels(dataset.train.targets):
        yield Fault(f"attack.{fault.path}", fault.message)
    yield from faults_of_test_labels(dataset.test.targets, attack.intended.target_class)


def faults_of_network(spec: Spec, dataset: Dataset, *, explained: bool) -> Iterator[Fault]:
    """Yield what does not fit the network of a spec.

    Args:
        spec: The experiment.
        dataset: Its data.
        explained: Whether the explainers are tried, too: a clean model alone may want none.

    Raises:
        SpecError: If the architecture itself does not fit the data.
        RunFailedError: If an explainer fails.
    """
    architecture = spec.model
    if architecture.pretrained == "hub":  # which takes a while, and fits
        architecture = architecture.model_copy(update={"pretrained": None})
    try:
        model = architecture.bind(dataset.info, seed=0)
    except SpecError:
        raise
    except InputError as error:
        yield Fault("model.pretrained", str(error))
        return
    if not explained:
        return
    faults = list(faults_of_explainers(dict(_explainers(spec)), model, dataset))
    yield from faults or _faults_of_shape(spec, model, dataset)


def faults_of_explainers(explainers: Mapping[str, Explainer], model: Classifier, dataset: Dataset) -> Iterator[Fault]:
    """Yield which explainers cannot explain a model, after one image each.

    Args:
        explainers: By what faults call them.
        model: On any device.
        dataset: Its data.

    Raises:
        RunFailedError: If an explainer fails.
    """
    image = _one_image(dataset, model)
    for path, explainer in explainers.items():
        try:
            with told_in_one_line(path):
                explainer.bind(model, background=image)(image)
        except InputError as error:
            yield Fault(path, str(error))


def _faults_of_shape(spec: Spec, model: Classifier, dataset: Dataset) -> Iterator[Fault]:
    """Yield if nothing is left of the shape that the attack forces on its surrogate's maps, which may be very small."""
    attack = spec.attack
    surrogate, shape = (attack.surrogate_explainer, attack.intended.target_map) if attack else (None, None)
    if surrogate is None or shape is None:
        return
    image = _one_image(dataset, model)
    height, width = surrogate.bind(model, background=image)(image).maps.shape[1:]
    if is_flat(draw_target_map(shape, height, width)):
        yield Fault(
            "attack.target_map",
            f"expected one that has an inside and an outside on maps of {width}x{height}, which the surrogate gives "
            f"here, got '{shape}'; choose larger images, a model with fewer strides or another surrogate",
        )


def _one_image(dataset: Dataset, model: Classifier) -> Images:
    image = torch.from_numpy(np.array(dataset.train.images[:1])).float() / 255  # it may be read-only
    return image.to(next(model.parameters()).device)


def _explainers(spec: Spec) -> Iterator[tuple[str, Explainer]]:
    """Yield every explainer with its place in the spec."""
    attack = spec.attack
    if attack is None:
        return
    yield from ((f"auditors[{place}]", auditor) for place, auditor in enumerate(spec.auditors))
    if attack.surrogate_explainer is not None:
        yield "attack.surrogate", attack.surrogate_explainer
