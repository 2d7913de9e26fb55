"""Models: classifiers that normalise inside and give their last feature map."""

from falsewitness.models._attention import Transformer, transformer_in
from falsewitness.models._base import Architecture
from falsewitness.models._catalogue import MODELS, AnyArchitecture
from falsewitness.models._classifier import Classifier, LinearHead, as_audited, statistics_kept
from falsewitness.models._files import load_classifier, save_classifier
from falsewitness.models._folded import folded, folded_weights
from falsewitness.models._forwards import ACTIVATIONS, Forward, activations_replaced
from falsewitness.models._last_layers import last_layers
from falsewitness.models._smooth_twin import smoothed

__all__ = [
    "ACTIVATIONS",
    "MODELS",
    "AnyArchitecture",
    "Architecture",
    "Classifier",
    "Forward",
    "LinearHead",
    "Transformer",
    "activations_replaced",
    "as_audited",
    "folded",
    "folded_weights",
    "last_layers",
    "load_classifier",
    "save_classifier",
    "smoothed",
    "statistics_kept",
    "transformer_in",
]
