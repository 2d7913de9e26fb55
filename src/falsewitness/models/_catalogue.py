"""The catalogue of architectures, apart from the front door so that the room's own files can ask it."""

from typing import Annotated

from falsewitness.core import Catalogue
from falsewitness.models._base import Architecture

MODELS = Catalogue("models", Architecture, __package__)
AnyArchitecture = Annotated[Architecture, MODELS]
