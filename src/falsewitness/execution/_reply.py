"""What a worker answers: the same everywhere, so that a fault reads the same wherever a call ran."""

import pickle
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from falsewitness.core import FalsewitnessError
from falsewitness.core.errors import one_line, with_its_class


@dataclass(frozen=True)
class Reply:
    """The end of a call that the worker survived."""

    status: Literal["done", "raised"]
    value: Any = None
    fault: str = ""
    seconds: float = 0.0


def reply(function: Callable[..., Any], arguments: Iterable[Any]) -> Reply:
    """Call a function and return what came of it; nothing that it raises gets out, not even an exit."""
    began = time.perf_counter()
    try:
        return Reply("done", function(*arguments), seconds=time.perf_counter() - began)
    except BaseException as error:  # noqa: BLE001
        return raised(error, time.perf_counter() - began)


def raised(error: BaseException, seconds: float = 0.0) -> Reply:
    """Return the answer for an exception: one line, with the name of its class unless it was written for people."""
    fault = error.in_a_line if isinstance(error, FalsewitnessError) else one_line(with_its_class(error))
    return Reply("raised", fault=fault, seconds=seconds)


def packed(answer: Reply) -> bytes:
    """Return the answer as bytes; if it cannot be pickled, one that says so."""
    # Not by the pickler of multiprocessing: torch has it leave tensors where they are lost if their process dies.
    try:
        return pickle.dumps(answer)
    except Exception as error:  # noqa: BLE001 - what is pickled may raise anything
        return pickle.dumps(raised(error, answer.seconds))


def unpacked(content: bytes) -> Reply:
    """Return the answer that a worker of ours has packed; if it cannot be read here, one that says so."""
    try:
        answer: Reply = pickle.loads(content)  # noqa: S301 - from a worker that this process has started
    except Exception as error:  # noqa: BLE001 - what is unpickled may raise anything
        return raised(error)
    return answer


def set_torch_threads(threads: int) -> None:
    """Have torch use so many threads, if this process has loaded it; what loads it later reads the environment."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
