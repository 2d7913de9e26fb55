"""One experiment, from a spec to a run folder."""

from collections.abc import Collection
from pathlib import Path

import torch

from falsewitness.data import Dataset
from falsewitness.experiment._evaluate import evaluate
from falsewitness.experiment._rehearsal import rehearse
from falsewitness.experiment._reporter import SILENT, Reporter
from falsewitness.experiment._run_folder import RunFolder
from falsewitness.experiment._spec import ROLES, Role, Spec
from falsewitness.experiment._train import Trained, ensure_trained
from falsewitness.experiment._workplace import Workplace


def run(
    spec: Spec,
    out: Path,
    *,
    measured: Collection[Role] = ROLES,
    dataset: Dataset | None = None,
    device: torch.device | None = None,
    reporter: Reporter = SILENT,
) -> dict[Role, RunFolder]:
    """Run an experiment; whatever an earlier run finished is used again, and an interrupted training goes on.

    Args:
        spec: What to run.
        out: The folder that run folders go into.
        measured: Which of its models to examine, at least one that it has; those that they stand on are only trained,
            where they are not yet.
        dataset: The spec's data where it is at hand, on a machine that may not have its source; None to read it.
        device: Where to train; the CPU where None.
        reporter: Who is told how it comes on; nobody by default.

    Returns:
        The run folder of each model that was trained or used: ``clean``, and with an attack ``control`` and ``attack``.

    Raises:
        SpecError: If the spec does not fit its data; all faults at once.
        InputError: If data is missing or damaged.
        RunFailedError: If a training diverges or a folder cannot be written.
    """
    spec = spec.checked(None if dataset is None else dataset.info)
    if dataset is None:
        with reporter.progress(f"reading {spec.data.kind}") as progress:
            dataset = spec.data.prepare(reporter.notice, progress)
    work = Workplace(spec, dataset, out, device or torch.device("cpu"), reporter)
    needed = _needed(work.roles, measured)
    rehearse(work, needed)
    models: dict[Role, Trained] = {}
    for role in needed:
        models[role] = ensure_trained(work, role, models.get("clean"))
        # At once: whatever becomes of the next model, this one has its result.
        if role in measured:
            evaluate(work, models, role, models[role].folder, models[role].folder)
    return {role: trained.folder for role, trained in models.items()}


def _needed(roles: tuple[Role, ...], measured: Collection[Role]) -> tuple[Role, ...]:
    """Return the models that are examined and those before them, on which they stand."""
    last = max(place for place, role in enumerate(roles) if role in measured)
    return roles[: last + 1]
