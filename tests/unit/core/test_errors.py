from falsewitness.core import FalsewitnessError, Fault, InputError, RunFailedError, SpecError


def test_exit_codes_tell_whose_business_an_error_is() -> None:
    assert InputError("x").exit_code == SpecError([]).exit_code == 2
    assert RunFailedError("x").exit_code == FalsewitnessError("x").exit_code == 1


def test_a_spec_error_names_every_fault_on_a_line_of_its_own() -> None:
    faults = [Fault("attack.trigger.size", "too large"), Fault("", "does not fit")]
    error = SpecError(iter(faults), "spec 'mine.yaml'")
    assert error.faults == tuple(faults)
    assert str(error) == "spec 'mine.yaml' has 2 faults:\n  attack.trigger.size: too large\n  does not fit"
    assert str(SpecError(faults[:1])) == "spec has 1 fault:\n  attack.trigger.size: too large"
