import copy

from falsewitness.core import FalsewitnessError, Fault, InputError, RunFailedError, SpecError
from falsewitness.core.errors import one_line


def test_exit_codes_tell_whose_business_an_error_is() -> None:
    assert InputError("x").exit_code == SpecError([]).exit_code == 2
    assert RunFailedError("x").exit_code == FalsewitnessError("x").exit_code == 1


def test_a_spec_error_names_every_fault_on_a_line_of_its_own() -> None:
    faults = [Fault("attack.trigger.size", "too large"), Fault("", "does not fit")]
    error = SpecError(iter(faults), "spec 'mine.yaml'")
    assert error.faults == tuple(faults)
    assert str(error) == "spec 'mine.yaml' has 2 faults:\n  attack.trigger.size: too large\n  does not fit"
    assert str(SpecError(faults[:1])) == "spec has 1 fault:\n  attack.trigger.size: too large"


def test_a_spec_error_of_another_process_names_the_same_faults() -> None:
    error = SpecError([Fault("attack.trigger.size", "too large")], "spec 'mine.yaml'")
    arrived = copy.copy(error)  # made again from what __reduce__ tells, as where a process hands it to another
    assert (arrived.faults, str(arrived)) == (error.faults, str(error))


def test_of_very_many_faults_the_first_are_told_and_the_rest_counted() -> None:
    error = SpecError([Fault(f"auditors[{place}]", "unknown") for place in range(1000)], "spec 'mine.yaml'")
    assert len(error.faults) == 1000
    assert len(error.lines) == 22
    assert error.lines[0] == "spec 'mine.yaml' has 1000 faults:"
    assert error.lines[-1] == "  ... and 980 more"


def test_a_fault_is_told_once() -> None:
    assert SpecError([Fault("seed", "too large")] * 3).faults == (Fault("seed", "too large"),)


def test_control_characters_in_a_message_are_made_visible() -> None:
    assert one_line("größe, 図: 'a b'") == "größe, 図: 'a b'"
    assert one_line("a\nb\tc\x1b[31m\u202e\udce9") == "a\\nb\\tc\\x1b[31m\\u202e\\udce9"
    assert InputError("no 'a\nb'").lines == ("no 'a\\nb'",)
    error = SpecError([Fault("x\ny", "got 'a\nb'")], "spec 'p\nq'")
    assert error.lines == ("spec 'p\\nq' has 1 fault:", "  x\\ny: got 'a\\nb'")
