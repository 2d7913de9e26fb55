"""CIFAR-10."""

from typing import ClassVar, Literal

from falsewitness.core import DataInfo
from falsewitness.data._named import NamedSet


class Cifar10(NamedSet):
    """60,000 photographs of animals and vehicles, 32x32 RGB pixels."""

    kind: Literal["cifar10"] = "cifar10"

    source: ClassVar[str] = "Krizhevsky 2009, Learning multiple layers of features from tiny images"
    hub_id: ClassVar[str] = "uoft-cs/cifar10"
    known: ClassVar[DataInfo] = DataInfo(
        3,
        32,
        32,
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    )
