"""Jobs of a Slurm cluster."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from falsewitness.core import InputError, PathLike
from falsewitness.core.files import writing
from falsewitness.execution._base import Executor, Pool


class Slurm(Executor):
    """Jobs of a Slurm cluster, one a call; needs the extra ``slurm``.

    What else a cluster asks for is set in sbatch's own variables, such as ``SBATCH_ACCOUNT``. If this process is
    killed, its jobs run on until they are done or cancelled.
    """

    kind: Literal["slurm"] = "slurm"
    shares_disk: ClassVar[bool] = True

    workers: int = Field(default=10, ge=1)
    """How many jobs are queued or running at once."""

    cpus: int = Field(default=4, ge=1)
    """How many cores a job gets; torch uses as many threads."""

    gpus: int = Field(default=0, ge=0)
    """How many GPUs a job gets."""

    memory_gb: Annotated[int, Field(ge=1)] | None = None
    """How much memory a job gets; null is what the cluster gives by default."""

    minutes: int = Field(default=240, ge=1)
    """How long a job may run, whatever the limit of its call."""

    partition: str | None = None
    """Where jobs are queued; null is the cluster's default."""

    folder: PathLike = Path("slurm")
    """Where the jobs' logs go; every machine must see it under this name."""

    cluster: Literal["slurm", "local"] = "slurm"
    """Who runs the jobs; ``local`` is this machine, to try without Slurm."""

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Prepare for jobs; none is queued before the first call.

        Raises:
            InputError: If submitit is not installed, or Slurm not known on this machine.
            RunFailedError: If the folder cannot be written.
        """
        try:
            import submitit
        except ImportError as error:
            raise InputError(
                "executor 'slurm' needs submitit; install it with: pip install 'falsewitness[slurm]'"
            ) from error
        if self.cluster == "slurm" and (missing := [name for name in ("sbatch", "srun") if not shutil.which(name)]):
            raise InputError(
                f"executor 'slurm': expected the program {missing[0]} on this machine, got none; start where one "
                "can submit jobs, or try without Slurm by cluster: local"
            )
        from falsewitness.execution._slurm_pool import SlurmPool

        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            # Job numbers come again; in a new folder of our own nobody's old answer can be taken for ours.
            folder = Path(tempfile.mkdtemp(dir=self.folder.absolute(), prefix="jobs-"))
        submitter = submitit.AutoExecutor(folder, cluster=self.cluster)
        submitter.update_parameters(
            name="falsewitness",
            timeout_min=self.minutes,
            cpus_per_task=self.cpus,
            gpus_per_node=self.gpus or None,
            mem_gb=self.memory_gb,
            slurm_partition=self.partition,
            slurm_srun_args=[f"--cpus-per-task={self.cpus}"],  # which srun no longer takes over from sbatch
        )
        pool = SlurmPool(submitter, self.workers, self.cpus, 60.0 * self.minutes)
        try:
            yield pool
        finally:
            pool.close()
