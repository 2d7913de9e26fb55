"""Models: classifiers that normalise inside and give their last feature map."""

from falsewitness.models._base import Architecture
from falsewitness.models._catalogue import MODELS, AnyArchitecture
from falsewitness.models._classifier import Classifier, LinearHead, as_audited
from falsewitness.models._files import load_classifier, save_classifier
from falsewitness.models._folded import folded
from falsewitness.models._forwards import forwards_replaced
from falsewitness.models._smooth_twin import smoothed

__all__ = [
    "MODELS",
    "AnyArchitecture",
    "Architecture",
    "Classifier",
    "LinearHead",
    "as_audited",
    "folded",
    "forwards_replaced",
    "load_classifier",
    "save_classifier",
    "smoothed",
]
