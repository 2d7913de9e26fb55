"""What is known of a data set before a single image is decoded."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataInfo:
    """Shape and classes of a data set: what components check themselves against.

    Attributes:
        channels: 1 or 3.
        height: Pixels.
        width: Pixels.
        class_names: One name per class, in label order.
        multi_label: Whether an image may carry several labels or none.
    """

    channels: int
    height: int
    width: int
    class_names: tuple[str, ...]
    multi_label: bool = False

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)
