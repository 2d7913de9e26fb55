"""What the process of a local worker does: it answers one call after the other, until nobody is there to ask."""

import os
import pickle
import signal
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait

from falsewitness.execution._reply import Reply, packed, raised, reply, set_torch_threads

READY = b""
"""What a worker sends first, when it can take a call."""


def serve(connection: Connection, threads: int) -> None:
    """Answer calls until the other end closes.

    Args:
        connection: Pickled ``(function, arguments)`` come in, pickled replies go out.
        threads: How many threads torch may use.
    """
    # An interrupt from the terminal reaches every process of the group; the one in front decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    connection.send_bytes(READY)
    while True:
        try:
            content = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(packed(_answer(content, threads)))


def _end_with_the_driver() -> None:
    # The system's own signal for this (PR_SET_PDEATHSIG) comes when the starting thread ends, not the process.
    if driver := parent_process():
        wait([driver.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


def _answer(content: bytes, threads: int) -> Reply:
    try:
        function, arguments = pickle.loads(content)  # noqa: S301 - from the process that started this one
    except Exception as error:  # noqa: BLE001 - importing the function's module may raise anything
        return raised(error)
    set_torch_threads(threads)
    return reply(function, arguments)
