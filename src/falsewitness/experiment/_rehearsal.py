"""Tries what only a network or the labels can tell, before hours of training are spent on it."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from falsewitness.core import Fault, InputError, SpecError
from falsewitness.data import Dataset
from falsewitness.experiment._one_line import told_in_one_line
from falsewitness.experiment._spec import Role, Spec
from falsewitness.experiment._workplace import Workplace
from falsewitness.explainers import Explainer
from falsewitness.models import Classifier


def rehearse(work: Workplace, roles: Sequence[Role]) -> None:
    """Begin the network; for an attack have every explainer look at one image through it, and draw the plan.

    Args:
        work: The experiment.
        roles: The models that are wanted of it, in order.

    Raises:
        SpecError: If weights do not fit the network; with all explainers that do not: for a layer that it lacks, say.
        InputError: If there are too few images to poison.
        RunFailedError: If an explainer fails.
    """
    if faults := list(faults_of_network(work.spec, work.dataset, explained="attack" in roles)):
        raise SpecError(faults, f"spec '{work.spec.name}'")
    work.batches(roles[-1])


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
    if explained:
        yield from faults_of_explainers(dict(_explainers(spec)), model, dataset)


def faults_of_explainers(explainers: Mapping[str, Explainer], model: Classifier, dataset: Dataset) -> Iterator[Fault]:
    """Yield which explainers cannot explain a model, after one image each.

    Args:
        explainers: By what faults call them.
        model: On any device.
        dataset: Its data.

    Raises:
        RunFailedError: If an explainer fails.
    """
    image = torch.from_numpy(np.array(dataset.train.images[:1])).float() / 255  # it may be read-only
    image = image.to(next(model.parameters()).device)
    for path, explainer in explainers.items():
        try:
            with told_in_one_line(path):
                explainer.bind(model, background=image)(image)
        except InputError as error:
            yield Fault(path, str(error))


def _explainers(spec: Spec) -> Iterator[tuple[str, Explainer]]:
    """Yield every explainer with its place in the spec."""
    attack = spec.attack
    if attack is None:
        return
    yield from ((f"auditors[{place}]", auditor) for place, auditor in enumerate(spec.auditors))
    if attack.surrogate_explainer is not None:
        yield "attack.surrogate", attack.surrogate_explainer
