from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from falsewitness.attacks import Poison
from falsewitness.attacks.badnets import BadNets
from falsewitness.core import Component, DataInfo, Fault, Strict
from falsewitness.triggers.patch import Patch

INFO = DataInfo(1, 8, 9, ("cat", "dog", "owl"))


class _Wheel(Component):
    kind: Literal["wheel"] = "wheel"
    radius: int

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self.radius > info.height:
            yield Fault("radius", f"too large, got {self.radius}")


class _Axle(Strict):
    wheels: Annotated[tuple[_Wheel, ...], Field(strict=False)] = ()
    spare: _Wheel | None = None


class _Cart(Strict):
    front: _Axle = _Axle()
    rear: _Axle = _Axle()
    load: int = 0

    def _check(self, info: DataInfo) -> Iterator[Fault]:
        if self.load:
            yield Fault("", "the cart is full")
            yield Fault("load", "expected none")


def test_what_fits_has_no_faults() -> None:
    assert _Cart(front=_Axle(wheels=(_Wheel(radius=8),), spare=_Wheel(radius=1))).check(INFO) == []


def test_faults_of_all_parts_are_collected_with_their_paths() -> None:
    small, large = _Wheel(radius=8), _Wheel(radius=9)
    cart = _Cart(front=_Axle(wheels=(small, large, large), spare=large), rear=_Axle(wheels=(large,)), load=1)
    assert [str(fault) for fault in cart.check(INFO)] == [
        "the cart is full",
        "load: expected none",
        "front.wheels[1].radius: too large, got 9",
        "front.wheels[2].radius: too large, got 9",
        "front.spare.radius: too large, got 9",
        "rear.wheels[0].radius: too large, got 9",
    ]


def test_a_fault_of_a_part_as_a_whole_has_the_path_of_the_part() -> None:
    class Train(Strict):
        carts: Annotated[tuple[_Cart, ...], Field(strict=False)]

    assert [fault.path for fault in Train(carts=(_Cart(), _Cart(load=1))).check(INFO)] == ["carts[1]", "carts[1].load"]


def test_an_attack_and_its_parts_are_checked_together() -> None:
    attack = BadNets(
        target_class=3,
        trigger=Patch(size=9, colour=(1.0, 0.0, 0.0)),
        poison=Poison(rate=0.5, classes=(0, 3, -1)),
    )
    assert [fault.path for fault in attack.check(INFO)] == [
        "target_class",
        "trigger.colour",
        "trigger.size",
        "poison.classes",
        "poison.classes",
    ]


def test_the_number_of_classes_is_the_number_of_their_names() -> None:
    assert INFO.num_classes == 3
