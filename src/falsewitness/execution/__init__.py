"""Execution: runs any function that can be pickled on the workers of a machine, a cluster or a batch system."""

from typing import Annotated

from falsewitness.core import Catalogue
from falsewitness.execution._base import Ended, Executor, Pool

EXECUTORS = Catalogue("executors", Executor, __name__)
AnyExecutor = Annotated[Executor, EXECUTORS]

__all__ = ["EXECUTORS", "AnyExecutor", "Ended", "Executor", "Pool"]
