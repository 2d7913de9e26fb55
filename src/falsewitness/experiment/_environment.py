"""Where a run was made: what can change its figures in the last digit, or its speed."""

import os
import platform
import resource
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from falsewitness import __version__
from falsewitness.core import InputError
from falsewitness.core.errors import first_line
from falsewitness.training import give_back_freed_memory

_STATUS, _PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "datasets")


def choose_device(name: str) -> torch.device:
    """Return a device by name; ``auto`` is CUDA where there is one.

    On CUDA this process computes the same twice from then on, and in single precision where that is asked for; but for
    an attack with a ``trigger_weight`` on maps smaller than the image, whose gradient torch adds up in any order.

    Raises:
        InputError: If there is no such device here, or it cannot be used now.
    """
    expected = f"--device: expected auto, cpu, cuda or another that is here, got '{name}'"
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    except RuntimeError:
        raise InputError(expected) from None
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # it may be there and busy
        raise InputError(f"{expected}: {first_line(error)}") from None
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # else inputs keep 10 bits
    return device


def describe_environment(device: torch.device, precision: str) -> dict[str, Any]:
    """Return versions, device, threads and precision: of a training's forward passes, and of convolutions on CUDA."""
    return {
        "falsewitness": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "precision": precision,
        "cuda_convolutions": str(torch.backends.cudnn.conv.fp32_precision) if device.type == "cuda" else None,  # type: ignore[attr-defined]
    }


def forget_peak_memory(device: torch.device) -> None:
    """Count peak memory from now on, where the system can: a process may train one model after another."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    give_back_freed_memory()  # what an earlier training keeps is not this one's
    with suppress(OSError):
        _PEAK_RESET.write_text("5", encoding="ascii")  # see proc_pid_clear_refs(5)


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory held since :func:`forget_peak_memory`, in MB: the device's on CUDA, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        status = _STATUS.read_text(encoding="ascii", errors="replace")
        (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(peak) * 1024 / 1e6
    except (OSError, ValueError):  # no Linux: what the process ever held
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
