"""What every component must keep, of whatever kind, and how a breach is said."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from falsewitness.core import Component, DataInfo, FalsewitnessError, describe_fields
from falsewitness.core.shapes import Images

CLASS_NAMES = tuple(f"class {number}" for number in range(10))
COLOUR = DataInfo(3, 32, 32, CLASS_NAMES)
GREY = DataInfo(1, 27, 27, CLASS_NAMES)
"""Odd, so that halving a side leaves a rest, and so do blocks of random numbers."""
OBLONG = DataInfo(3, 24, 40, CLASS_NAMES)

_ABOUT = "{0.channels} channels of {0.height}x{0.width} pixels"

T = TypeVar("T")


class ConformanceError(FalsewitnessError):
    """A component does not keep the contract of its kind: says what was expected and what it does."""


def require(holds: bool, breach: str) -> None:
    """Raise ConformanceError with the breach unless something holds."""
    if not holds:
        raise ConformanceError(breach)


def check_configuration(component: Component) -> None:
    """Check what holds for components of every kind: it describes itself, and plain data gives an equal one."""
    cls = type(component)
    require(cls.kind_name() != "", "expected a field kind: Literal['...'], got none")
    require(bool(cls.__doc__), "expected a docstring, got none")
    require(bool(cls.source), "expected the paper, equation or section in the class variable source, got none")
    for field in describe_fields(cls):
        require(bool(field["meaning"]), f"expected a docstring under the field {field['name']}, got none")
    again = cls.parse(component.plain(), cls.kind_name())
    require(again == component, f"expected parse(plain()) to give an equal component, got {again!r}")


def fitting(component: Component) -> list[DataInfo]:
    """Return the kinds of images that the component says it fits; it must fit some."""
    found = {info: component.check(info) for info in (COLOUR, GREY, OBLONG)}
    fits = [info for info, faults in found.items() if not faults]
    said = "; ".join(f"{_ABOUT.format(info)}: {faults[0]}" for info, faults in found.items() if faults)
    require(bool(fits), f"expected it to fit at least one of the images it is tried on, got {said}")
    return fits


@dataclass(frozen=True)
class Repeated(Generic[T]):
    """What two calls returned, to which global random numbers were different ones."""

    first: T
    second: T


def repeated(what: str, call: Callable[[], T]) -> Repeated[T]:
    """Call twice, each time with other global random numbers, which the calls must leave alone."""
    with _other_random_numbers(1), _surroundings_left_alone(what):
        first = call()
    with _other_random_numbers(2):
        return Repeated(first, call())


@contextmanager
def _other_random_numbers(drawn: int) -> Iterator[None]:
    """Let some of everybody's be drawn before a block: who gives them the seed of an earlier call is seen, too."""
    of_numpy = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.rand(drawn)
        np.random.random(drawn)
        try:
            yield
        finally:
            np.random.set_state(of_numpy)


@contextmanager
def _surroundings_left_alone(what: str) -> Iterator[None]:
    """Require that random numbers and settings which all code of a process shares are the same after the block.

    Python's own random numbers are not among them: libraries that check types as a program runs draw from these.
    """
    before = _surroundings()
    yield
    for name, value in _surroundings().items():
        require(
            value == before[name],
            f"{what} changes {name}, which others share; expected a torch.Generator with a seed of its own for random "
            "numbers, and settings as they were",
        )


def _surroundings() -> dict[str, object]:
    _, keys, *place = np.random.get_state(legacy=True)
    return {
        "torch's global random numbers": torch.get_rng_state().numpy().tobytes(),
        "numpy's global random numbers": (np.asarray(keys).tobytes(), *place),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's choice of deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "whether torch records gradients": torch.is_grad_enabled(),
        "torch's number of threads": torch.get_num_threads(),
    }


def noise(info: DataInfo, count: int, seed: int = 0) -> Images:
    """Return random images, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, info.channels, info.height, info.width, generator=generator)


def relative_distance(first: Tensor, second: Tensor) -> float:
    """Return the length of the difference over the length of the first; 0 where both are zero."""
    difference = (first - second).detach().double().norm()
    return float(difference / first.detach().double().norm()) if difference > 0 else 0.0
