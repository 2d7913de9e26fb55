"""MNIST."""

from typing import ClassVar, Literal

from falsewitness.core import DataInfo
from falsewitness.data._named import NamedSet


class Mnist(NamedSet):
    """70,000 handwritten digits, 28x28 grey pixels."""

    kind: Literal["mnist"] = "mnist"

    source: ClassVar[str] = (
        "LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition"
    )
    hub_id: ClassVar[str] = "ylecun/mnist"
    known: ClassVar[DataInfo] = DataInfo(1, 28, 28, tuple("0123456789"))
