"""One experiment, from a spec to a run folder."""

from pathlib import Path

import torch

from falsewitness.experiment._evaluate import evaluate
from falsewitness.experiment._rehearsal import rehearse
from falsewitness.experiment._reporter import SILENT, Reporter
from falsewitness.experiment._run_folder import RunFolder
from falsewitness.experiment._spec import Role, Spec
from falsewitness.experiment._train import Trained, ensure_trained
from falsewitness.experiment._workplace import Workplace


def run(
    spec: Spec, out: Path, *, device: torch.device | None = None, reporter: Reporter = SILENT
) -> dict[Role, RunFolder]:
    """Run an experiment; whatever an earlier run finished is used again, and an interrupted training goes on.

    Args:
        spec: What to run.
        out: The folder that run folders go into.
        device: Where to train; the CPU where None.
        reporter: Who is told how it comes on; nobody by default.

    Returns:
        The run folder of each of its models: ``clean``, and with an attack ``control`` and ``attack``.

    Raises:
        SpecError: If the spec does not fit its data; all faults at once.
        InputError: If data is missing or damaged.
        RunFailedError: If a training diverges or a folder cannot be written.
    """
    spec = spec.checked()
    with reporter.progress(f"reading {spec.data.kind}") as progress:
        dataset = spec.data.prepare(reporter.notice, progress)
    work = rehearse(Workplace(spec, dataset, out, device or torch.device("cpu"), reporter))
    models: dict[Role, Trained] = {}
    for role in work.roles:
        models[role] = ensure_trained(work, role, models.get("clean"))
        # At once: whatever becomes of the next model, this one has its result.
        evaluate(work, models, role, models[role].folder, models[role].folder)
    return {role: trained.folder for role, trained in models.items()}
