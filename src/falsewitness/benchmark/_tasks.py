"""What there is to do for the cells of a matrix: every model once, after those that it stands on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from falsewitness.benchmark._matrix import Matrix
from falsewitness.core import Component, InputError
from falsewitness.data import Dataset
from falsewitness.experiment import SILENT, Role, RunFolder, Spec, Workplace


@dataclass(frozen=True)
class Task:
    """One model, to be trained and measured.

    Attributes:
        key: The name of its run folder.
        role: What it is in its experiment.
        spec: The experiment; of a model that several share, the first of them.
        folder: Its run folder.
        needs: Keys of the models that it stands on.
        train_digest: Of all that decides its weights.
        eval_digest: Of all that decides its figures.
    """

    key: str
    role: Role
    spec: Spec
    folder: RunFolder
    needs: tuple[str, ...]
    train_digest: str
    eval_digest: str


@dataclass(frozen=True)
class Agenda:
    """All tasks of a benchmark.

    Attributes:
        tasks: By key; each stands behind those that it needs.
        of_cells: For every cell that is not left out, by its place in the matrix, the key of its last model.
        datasets: What was opened for them.
    """

    tasks: Mapping[str, Task]
    of_cells: Mapping[int, str]
    datasets: Mapping[Component, Dataset]


def agenda(matrix: Matrix, out: Path, device: torch.device, prepare: Callable[[Spec], Dataset]) -> Agenda:
    """Find the tasks of a matrix.

    Args:
        matrix: The cells.
        out: The folder that run folders go into.
        device: Where models are trained: it decides what precision ``auto`` stands for.
        prepare: Opens the data of a spec; called once for each data set.

    Raises:
        InputError: If data is missing or damaged, or two cells train the same model for different figures.
    """
    tasks: dict[str, Task] = {}
    of_cells: dict[int, str] = {}
    datasets: dict[Component, Dataset] = {}
    made: dict[str, int] = {}
    first: dict[str, int] = {}
    for place, cell in enumerate(matrix.cells):
        if cell.excluded:
            continue
        data = cell.spec.data
        if data not in datasets:
            datasets[data] = prepare(cell.spec)
        work = Workplace(cell.spec, datasets[data], out, device, SILENT)
        keys: list[str] = []
        for role in work.roles:
            folder = work.folder(role)
            key = folder.path.name
            if key not in tasks:
                needs, train_digest = tuple(keys), work.digest(role)
                made[key] = place
                tasks[key] = Task(key, role, work.spec_of(role), folder, needs, train_digest, work.eval_digest(role))
            keys.append(key)
        last = tasks[keys[-1]]
        if work.eval_digest(last.role) != last.eval_digest:
            raise InputError(
                f"the cells ({matrix.named(made[last.key])}) and ({matrix.named(place)}) train the same model and "
                "measure it in two ways; expected one cell with all auditors and metrics, under 'common'"
            )
        if (earlier := first.setdefault(last.key, place)) != place:
            # Counted twice, one model would pass for several seeds.
            raise InputError(
                f"the cells ({matrix.named(earlier)}) and ({matrix.named(place)}) are the same model; expected every "
                "cell to differ: change or remove one of them"
            )
        of_cells[place] = last.key
    return Agenda(tasks, of_cells, datasets)
