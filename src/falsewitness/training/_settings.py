"""How a model is trained."""

from typing import Annotated, Literal

from pydantic import Field

from falsewitness.core.component import Strict
from falsewitness.training._augmentation import Augmentation


class Training(Strict):
    """One stage of training: stochastic gradient descent with Nesterov momentum under a one-cycle schedule.

    Muon takes its place for most weights where it has a rate of its own. Learning rates climb on a cosine to their
    peaks and fall on another to nearly nothing (Smith and Topin 2018).
    """

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    """Passes over the plan."""

    batch_size: Annotated[int, Field(ge=1)] = 128
    """Images a step; in a ``paired`` plan their stamped copies come on top."""

    learning_rate: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """The peak of the schedule."""

    muon_learning_rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    """The peak for the weights of convolutions and linear layers, whose steps Muon makes orthogonal (Jordan et al.
    2024, "Muon: an optimizer for hidden layers"), with the same momentum; weight decay then shrinks them by itself. The
    last layer and depthwise convolutions are left to the descent; the first layer, which Jordan et al. leave out of
    most networks, is not. Null leaves all to the descent."""

    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """The share of the steps on which the learning rate climbs."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of the descent."""

    weight_decay: Annotated[float, Field(ge=0, le=1000)] = 5e-4
    """Weight decay, on all weights."""

    gradient_norm: Annotated[float, Field(gt=0)] | None = None
    """What the norm of a step's gradient is reduced to where it is larger (Pascanu et al. 2013, algorithm 1); null
    leaves it. A loss on standardised maps has ever longer gradients as the maps it stretches become fainter."""

    batch_norm: Literal["batch", "frozen"] = "batch"
    """Whether batch norm follows the batches, or keeps the statistics it has: stamped rows shift them."""

    augmentation: Augmentation = Augmentation()
    """How images are varied."""
