"""Tries what only the networks and the labels can tell, before hours of training are spent on it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from falsewitness.benchmark._matrix import told_with_cells
from falsewitness.benchmark._survey import Prepared
from falsewitness.core import Fault, SpecError
from falsewitness.experiment import faults_of_labels, faults_of_network


def expect_feasible(prepared: Prepared) -> None:
    """Have every explainer look at one image through every network, and count the images that may be poisoned.

    Raises:
        SpecError: With all that does not fit, each with the first of the cells that have it: a layer that the network
            lacks, say, or a poison rate that is too high.
        RunFailedError: If an explainer fails.
    """
    having = defaultdict[Fault, list[int]](list)
    for fault, places in _faults_of_cells(prepared):
        having[fault] += places
    if having:
        named = prepared.matrix.named
        told = [told_with_cells(fault, named(places[0]), len(places)) for fault, places in having.items()]
        raise SpecError(told, f"benchmark '{prepared.benchmark.name}'")


def _faults_of_cells(prepared: Prepared) -> Iterator[tuple[Fault, Sequence[int]]]:
    """Yield the faults with the places of the cells that have them; what many cells share is tried once."""
    networks, poisons = defaultdict[object, list[int]](list), defaultdict[object, list[int]](list)
    for place in prepared.agenda.of_cells:
        spec = prepared.matrix.cells[place].spec
        if (attack := spec.attack) is not None:
            networks[spec.data, spec.model, spec.auditors, attack.surrogate_explainer].append(place)
            poisons[spec.data, attack.poison, attack.intended.target_class].append(place)
    for places in networks.values():
        spec = prepared.matrix.cells[places[0]].spec
        found = faults_of_network(spec, prepared.agenda.datasets[spec.data], explained=True)
        yield from ((fault, places) for fault in found)
    for places in poisons.values():
        spec = prepared.matrix.cells[places[0]].spec
        yield from ((fault, places) for fault in faults_of_labels(spec, prepared.agenda.datasets[spec.data]))
