"""Triggers that cover a square somewhere in the image: where it lies, and whether it fits."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, final

from pydantic import Field

from falsewitness.core import DataInfo, Fault
from falsewitness.triggers._base import Stamp, Trigger
from falsewitness.triggers._picture import Picture, laid_over

Pixels = Annotated[int, Field(ge=0)]


class PlacedTrigger(Trigger):
    """A trigger that covers a square. A new one overrides :meth:`_picture`."""

    is_opaque: ClassVar[bool] = True
    """Whether nothing of the image can be seen under the square."""

    size: int = Field(default=3, ge=1)
    """Side of the square in pixels."""

    corner: Literal["upper_left", "upper_right", "lower_left", "lower_right"] = "lower_right"
    """The corner of the image in which it lies."""

    margin: Pixels = 0
    """Pixels between it and the two edges of that corner."""

    position: Annotated[tuple[Pixels, Pixels], Field(strict=False)] | None = None
    """Row and column of its upper left pixel, counted from 0; given, it overrides corner and margin."""

    @final
    def _stamp(self, info: DataInfo) -> Stamp:
        row, column = self._place(info)
        return laid_over(info, self._picture(info), row=row, column=column)

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        row, column = self._place(info)
        inside = min(row, column) >= 0 and row + self.size <= info.height and column + self.size <= info.width
        if not inside:
            where = f"at {list(self.position)}" if self.position else f"with margin {self.margin}"
            yield Fault(
                "size",
                f"expected a square within {info.height}x{info.width} pixels, got {self.size}x{self.size} {where}",
            )
        elif self.is_opaque and self.size == info.height == info.width:
            yield Fault("size", f"expected a square that leaves something of {self.size}x{self.size} pixels, got all")

    @abstractmethod
    def _picture(self, info: DataInfo) -> Picture:
        """Draw the square, ``size`` pixels high and wide."""

    def _place(self, info: DataInfo) -> tuple[int, int]:
        if self.position is not None:
            return self.position
        vertical, horizontal = self.corner.split("_")
        row = self.margin if vertical == "upper" else info.height - self.margin - self.size
        column = self.margin if horizontal == "left" else info.width - self.margin - self.size
        return row, column
