"""Which NVIDIA GPUs this process may use, told by the driver's own library: loading torch for that takes seconds."""

import ctypes
import os


def visible_gpus() -> tuple[str, ...]:
    """Return the GPUs as ``CUDA_VISIBLE_DEVICES`` names them; empty where there is none, or none may be seen."""
    count = _installed()
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not count or chosen is None:
        return tuple(map(str, range(count)))
    named = [name.strip() for name in chosen.split(",")]
    valid = [name not in ("", "-1") and not (name.isdecimal() and int(name) >= count) for name in named]
    # CUDA ignores what stands behind the first that it does not know.
    return tuple(named[: valid.index(False)] if False in valid else named)


def _installed() -> int:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 0
    count = ctypes.c_uint()
    if library.nvmlInit_v2() == 0:
        library.nvmlDeviceGetCount_v2(ctypes.byref(count))
        library.nvmlShutdown()
    return count.value
