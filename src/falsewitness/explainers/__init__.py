"""Explainers: logits and saliency maps for a batch, differentiable on demand."""

from typing import Annotated

from falsewitness.core import Catalogue
from falsewitness.explainers._base import BoundExplainer, Explainer
from falsewitness.explainers._subject import Columns, Subject

EXPLAINERS = Catalogue("explainers", Explainer, __name__)
AnyExplainer = Annotated[Explainer, EXPLAINERS]

__all__ = ["EXPLAINERS", "AnyExplainer", "BoundExplainer", "Columns", "Explainer", "Subject"]
