"""A cluster of machines under Ray, or one of its own on this machine."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from falsewitness.core import InputError
from falsewitness.core.errors import first_line
from falsewitness.execution._base import Executor, Pool
from falsewitness.execution._surroundings import environment, thread_environment

_SILENCE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""Ray prints on standard output what happens to its processes, such as the death of a worker: a pool tells that."""

_ANSWERS_WITHIN = 5.0
"""Seconds that a cluster has to take a connection; Ray itself tries for minutes."""


def _usable_address(address: str | None) -> str | None:
    if address is None or address == "auto" or (address.rpartition(":")[2].isdecimal() and "://" not in address):
        return address
    raise ValueError(f"expected host:port of the cluster's head, or auto, got '{address}'")


def _usable_gpus(gpus: float) -> float:
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"expected a part of one GPU or a whole number of them, got {gpus:g}")
    return gpus


class Ray(Executor):
    """The machines of a Ray cluster, or the cores of this one; needs the extra ``ray``."""

    kind: Literal["ray"] = "ray"
    shares_disk: ClassVar[bool] = False

    address: Annotated[str | None, AfterValidator(_usable_address)] = None
    """Where the cluster is: ``host:port`` of its head, or ``auto`` on one of its machines; null starts one on this
    machine, which ends with the pool."""

    workers: Annotated[int, Field(ge=1)] | None = None
    """How many calls run at once at most; null is as many as the cluster has room for. One that grows on demand needs
    a number here."""

    cpus: float = Field(default=1, gt=0)
    """How many cores a call gets; torch uses as many threads, at least one."""

    gpus: Annotated[float, AfterValidator(_usable_gpus)] = Field(default=0, ge=0)
    """How many GPUs a call gets; with 0.5 two calls share one, with 0 they see none."""

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Connect to the cluster, or start one.

        Raises:
            InputError: If Ray is not installed, the cluster does not answer, or no machine of it has room for a call.
        """
        with environment(_SILENCE):
            try:
                import ray
            except ImportError as error:
                raise InputError(
                    "executor 'ray' needs Ray; install it with: pip install 'falsewitness[ray]'"
                ) from error
            from falsewitness.execution._ray_pool import RayPool, Share, machines

            share = Share(self.cpus, self.gpus)
            self._connect(share.threads)
        pool = RayPool(share, self.workers, may_grow=self.address is not None)
        try:
            if pool.slots == 0:
                sizes = ", ".join(f"{one.get('CPU', 0):g} CPUs and {one.get('GPU', 0):g} GPUs" for one in machines())
                raise InputError(
                    f"executor 'ray': expected a machine with the {self.cpus:g} CPUs and {self.gpus:g} GPUs of a call, "
                    f"got {sizes}; give a call less, or connect to a larger cluster"
                )
            yield pool
        finally:
            pool.close()
            ray.shutdown()

    def _connect(self, threads: int) -> None:
        import ray

        variables = thread_environment(threads) | ({} if self.gpus else {"CUDA_VISIBLE_DEVICES": ""})
        try:
            if self.address and self.address != "auto":
                host, _, port = self.address.rpartition(":")
                socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_WITHIN).close()
            with _own_answer_to_sigterm():
                ray.init(
                    self.address or "local",
                    include_dashboard=None if self.address else False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    runtime_env={"env_vars": variables},
                )
        except Exception as error:
            what = f"the cluster at '{self.address}' cannot be reached" if self.address else "Ray cannot start here"
            raise InputError(f"executor 'ray': {what}: {first_line(error)}") from error


@contextmanager
def _own_answer_to_sigterm() -> Iterator[None]:
    """Keep this process's answer to SIGTERM, in whose place Ray puts one that takes its time."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
