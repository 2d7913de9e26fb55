"""Fashion-MNIST."""

from typing import ClassVar, Literal

from falsewitness.core import DataInfo
from falsewitness.data._named import NamedSet


class FashionMnist(NamedSet):
    """70,000 pictures of clothes, 28x28 grey pixels."""

    kind: Literal["fashion_mnist"] = "fashion_mnist"

    source: ClassVar[str] = "Xiao, Rasul and Vollgraf 2017, Fashion-MNIST, arXiv:1708.07747"
    hub_id: ClassVar[str] = "zalando-datasets/fashion_mnist"
    known: ClassVar[DataInfo] = DataInfo(
        1,
        28,
        28,
        (
            "T - shirt / top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    )
