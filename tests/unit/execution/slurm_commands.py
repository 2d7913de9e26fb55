"""The four commands of Slurm that jobs need, for one machine: a program, started by its test in their place.

Arguments: the command's name and its own. Jobs are noted in the folder that the variable SLURM_NOTES names; what
SLURM_STATE_OF_THE_DEAD says became of every job that has ended.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

NOTES = Path(os.environ["SLURM_NOTES"])


def sbatch(script: str) -> None:
    number = str(time.time_ns() // 1000)
    environment = {**os.environ, "SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
    quiet = subprocess.DEVNULL
    job = subprocess.Popen(["bash", script], env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
    (NOTES / number).write_text(str(job.pid))
    print(f"Submitted batch job {number}")  # noqa: T201


def srun(*arguments: str) -> None:
    command = list(arguments)
    while command[0].startswith("--"):
        option = command.pop(0)
        if option in ("--output", "--error"):
            path = command.pop(0).replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY), 1 if option == "--output" else 2)
    os.execvp(command[0], command)  # noqa: S606


def sacct(*arguments: str) -> None:
    print("JobID|State|NodeList")  # noqa: T201
    for option, number in pairwise(arguments):
        if option == "-j" and (NOTES / number).exists():
            print(f"{number}|{_state(number)}|here")  # noqa: T201


def _state(number: str) -> str:
    command = ["pgrep", "--pgroup", (NOTES / number).read_text()]
    lives = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0
    return "RUNNING" if lives else os.environ["SLURM_STATE_OF_THE_DEAD"]


def scancel(number: str) -> None:
    with suppress(ProcessLookupError):
        os.killpg(int((NOTES / number).read_text()), signal.SIGKILL)


COMMANDS: dict[str, Callable[..., None]] = {"sbatch": sbatch, "srun": srun, "sacct": sacct, "scancel": scancel}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
