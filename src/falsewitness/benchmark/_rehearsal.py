"""Tries what only the networks and the labels can tell, before hours of training are spent on it."""

from collections.abc import Iterator

from falsewitness.benchmark._survey import Prepared
from falsewitness.core import Fault, SpecError
from falsewitness.experiment import faults_of_labels, faults_of_network


def expect_feasible(prepared: Prepared) -> None:
    """Have every explainer look at one image through every network, and count the images that may be poisoned.

    Raises:
        SpecError: With all that does not fit, each with a cell that has it: a layer that the network lacks, say, or a
            poison rate that is too high.
        RunFailedError: If an explainer fails.
    """
    faults = dict[tuple[str, str], Fault]()
    for place, fault in _faults_of_cells(prepared):
        told = f"{fault.message} (first in the cell {prepared.matrix.named(place)})"
        faults.setdefault((fault.path, fault.message), Fault(fault.path, told))
    if faults:
        raise SpecError(list(faults.values()), f"benchmark '{prepared.benchmark.name}'")


def _faults_of_cells(prepared: Prepared) -> Iterator[tuple[int, Fault]]:
    """Yield the faults with the place of the first cell that has them; what many cells share is tried once."""
    tried = set[object]()
    for place in prepared.agenda.of_cells:
        spec = prepared.matrix.cells[place].spec
        if (attack := spec.attack) is None:
            continue
        dataset = prepared.agenda.datasets[spec.data]
        if (network := (spec.data, spec.model, spec.auditors, attack.surrogate_explainer)) not in tried:
            tried.add(network)
            yield from ((place, fault) for fault in faults_of_network(spec, dataset, explained=True))
        if (poisons := (spec.data, attack.poison, attack.intended.target_class)) not in tried:
            tried.add(poisons)
            yield from ((place, fault) for fault in faults_of_labels(spec, dataset))
