"""Tries what only the networks can tell, before hours of training are spent on it."""

from falsewitness.benchmark._survey import Prepared
from falsewitness.core import Fault, SpecError
from falsewitness.experiment import faults_of_network


def expect_explainable(prepared: Prepared) -> None:
    """Have every explainer look at one image through every network, before hours of training are spent on it.

    Raises:
        SpecError: With all that cannot, each with a cell that has it: for a layer that the network lacks, say.
        RunFailedError: If an explainer fails.
    """
    tried, faults = set(), dict[tuple[str, str], Fault]()
    for place in prepared.agenda.of_cells:
        spec = prepared.matrix.cells[place].spec
        what = (spec.data, spec.model, spec.auditors, spec.attack and spec.attack.surrogate_explainer)
        if spec.attack is None or what in tried:
            continue
        tried.add(what)
        for fault in faults_of_network(spec, prepared.agenda.datasets[spec.data], explained=True):
            told = f"{fault.message} (in the cell {prepared.matrix.named(place)})"
            faults.setdefault((fault.path, fault.message), Fault(fault.path, told))
    if faults:
        raise SpecError(list(faults.values()), f"benchmark '{prepared.benchmark.name}'")
