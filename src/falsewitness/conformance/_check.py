"""The way in: which contract a component has to keep."""

from falsewitness.attacks import Attack
from falsewitness.conformance._attacks import check_attack
from falsewitness.conformance._contract import ConformanceError, check_configuration
from falsewitness.conformance._explainers import check_explainer
from falsewitness.conformance._metrics import check_metric
from falsewitness.conformance._models import check_architecture
from falsewitness.conformance._triggers import check_trigger
from falsewitness.core import Component, FalsewitnessError
from falsewitness.core.errors import told_with_its_place
from falsewitness.explainers import Explainer
from falsewitness.metrics import Metric
from falsewitness.models import Architecture
from falsewitness.triggers import Trigger


def check_component(component: Component) -> None:
    """Put a component through everything that its kind promises; takes about a second.

    Args:
        component: A trigger, an architecture, an explainer, an attack or a metric, built as a user would. Choose
            hyperparameters that make it quick: they are tried on small networks and a few images.

    Raises:
        ConformanceError: With the first promise that it breaks.
    """
    try:
        check_configuration(component)
        match component:
            case Trigger():
                check_trigger(component)
            case Architecture():
                check_architecture(component)
            case Explainer():
                check_explainer(component)
            case Attack():
                check_attack(component)
            case Metric():
                check_metric(component)
            case _:
                raise ConformanceError("expected a trigger, an architecture, an explainer, an attack or a metric")
    # The rooms' own final methods refuse misshapen answers with these; here they are a breach like any other.
    except (FalsewitnessError, ValueError) as error:
        raise ConformanceError(f"{type(component).__name__} '{component.kind}': {error}") from error
    except Exception as error:  # a plug-in may raise anything
        raise ConformanceError(
            f"{type(component).__name__} '{component.kind}' raised {told_with_its_place(error)}"
        ) from error
