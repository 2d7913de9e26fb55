"""Generated bad specs: every fault is named at once, in a line each, and nothing is written."""

from pathlib import Path

import pytest
from hypothesis import strategies as st
from tests.conftest import Tried
from tests.system.conftest import Answer, Command
from tests.system.faulty_specs import SPECS, as_yaml, changes_with_faults, spec_with_faults
from tests.system.generated import tried_all
from tests.system.misfitting_specs import faulty_spec_that_misfits, spec_that_misfits
from tests.system.unreadable_specs import Unreadable, unreadable_specs


def refused(answer: Answer) -> Answer:
    """Return an answer that is as it has to be, whatever was wrong."""
    assert (answer.code, answer.out) == (2, ""), answer
    lines = answer.fault.splitlines()
    assert all(len(line) < 1000 for line in lines), answer.err
    assert all(line.isprintable() for line in lines), answer.err
    assert len(lines) <= 22, answer.err
    return answer


def refused_file(ask: Command, folder: Path, content: bytes) -> Answer:
    """Run a spec that is bad."""
    (folder / "spec.yaml").write_bytes(content)
    answer = refused(ask("run", "spec.yaml"))
    assert [path.name for path in folder.iterdir()] == ["spec.yaml"]
    return answer


def told(answer: Answer) -> dict[str, str]:
    """Return what is said, by the place that it is said of."""
    heading, *lines = answer.fault.splitlines()
    count = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
    assert heading.endswith(f" has {count}:"), answer.err
    by_place = [line.removeprefix("  ").partition(": ")[::2] for line in lines]
    assert len({place for place, _ in by_place}) == len(by_place), answer.err
    return dict(by_place)


def agree(found: dict[str, str], expected: dict[str, str]) -> None:
    assert found.keys() == expected.keys()
    for place, words in expected.items():
        assert all(piece in found[place] for piece in words.split(" ... "))


def test_every_fault_of_form_is_named_with_its_place(ask: Command, tmp_path: Path, tried: Tried) -> None:
    def check(drawn: tuple[str, dict[str, str]]) -> None:
        text, expected = drawn
        agree(told(refused_file(ask, tmp_path, text.encode())), expected)

    tried("bad inputs", "specs", tried_all(check, spec_with_faults(), 550))


def test_every_part_that_does_not_fit_is_named_with_its_place(ask: Command, tmp_path: Path, tried: Tried) -> None:
    def check(drawn: tuple[str, dict[str, str]]) -> None:
        text, expected = drawn
        agree(told(refused_file(ask, tmp_path, text.encode())), expected)

    tried("bad inputs", "specs", tried_all(check, spec_that_misfits(), 100))


def test_faults_of_form_and_parts_that_do_not_fit_are_named_at_once(ask: Command, tmp_path: Path, tried: Tried) -> None:
    def check(drawn: tuple[str, dict[str, str]]) -> None:
        text, expected = drawn
        agree(told(refused_file(ask, tmp_path, text.encode())), expected)

    tried("bad inputs", "specs", tried_all(check, faulty_spec_that_misfits(), 200))


def test_a_file_that_is_no_spec_is_one_line(ask: Command, tmp_path: Path, tried: Tried) -> None:
    def check(drawn: Unreadable) -> None:
        answer = refused_file(ask, tmp_path, drawn.content)
        assert len(answer.err.splitlines()) == 1
        assert answer.fault.startswith("spec 'spec.yaml': ")
        assert drawn.said in answer.fault

    tried("bad inputs", "specs", tried_all(check, unreadable_specs(), 200))


SCRIBBLES = st.sampled_from([*"0123456789&*!{}[]:-|>%@'\"#?<,~. \t\n\x00\x85é\u2028\ufeff", "- ", ": ", "<<", "---\n"])
EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from([0, 1]), SCRIBBLES), min_size=1, max_size=4)


def test_a_spec_that_was_scribbled_on_is_still_a_spec_or_refused(ask: Command, tmp_path: Path, tried: Tried) -> None:
    refusals = 0

    def check(drawn: tuple[str, list[tuple[int, int, str]]]) -> None:
        nonlocal refusals
        text, edits = drawn
        for place, replaced, new in edits:
            place %= len(text)
            text = text[:place] + new + text[place + replaced :]
        (tmp_path / "spec.yaml").write_text(text)
        answer = ask("show", "spec.yaml")
        if answer.code == 0:
            (tmp_path / "again.yaml").write_text(answer.out)
            assert ask("show", "again.yaml").out == answer.out
        else:
            refusals += 1
            refused(answer)

    texts = st.sampled_from([as_yaml(spec.plain()) for spec in SPECS])
    tried_all(check, st.tuples(texts, EDITS), 200)
    assert refusals > 0
    tried("bad inputs", "specs", refusals)


def test_every_bad_change_is_named_with_its_place(ask: Command, tmp_path: Path, tried: Tried) -> None:
    def check(drawn: tuple[str, list[str], dict[str, str]]) -> None:
        name, changes, expected = drawn
        answer = refused(ask("run", name, *(word for change in changes for word in ("--set", change))))
        agree(told(answer), expected)

    tried("bad inputs", "changes", tried_all(check, changes_with_faults(), 250))
    assert not list(tmp_path.iterdir())


ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
NEARLY_YAML = st.text("ab.=[]{}:&*!|>-\"' \n\t#%@,01", max_size=20)


def test_whatever_is_set_is_read_or_refused(ask: Command, tmp_path: Path, tried: Tried) -> None:
    faulty = 0

    def check(change: str) -> None:
        nonlocal faulty
        answer = refused(ask("run", "digits/badnets", "--set", change, "--set", "seed=x"))
        faulty += [line.partition(": ")[0] for line in answer.fault.splitlines()[1:]] != ["  seed"]

    starts = st.sampled_from(["seed=", "attack=", "attack.", "auditors=", "name=", "", "."])
    changes = st.builds(str.__add__, starts, ANY_TEXT | NEARLY_YAML).filter(lambda change: not change.startswith("-"))
    tried_all(check, changes, 250)
    assert faulty > 100
    tried("bad inputs", "changes", faulty)
    assert not list(tmp_path.iterdir())


def true_process(command: Command, folder: Path, count: int) -> int:
    """Ask a process of its own, as a user does, of specs with faults."""

    def check(drawn: tuple[str, dict[str, str]]) -> None:
        text, expected = drawn
        (folder / "spec.yaml").write_text(text)
        agree(told(refused(command(folder, "run", "spec.yaml"))), expected)
        assert [path.name for path in folder.iterdir()] == ["spec.yaml"]

    return tried_all(check, spec_with_faults(), count)


def test_a_process_of_its_own_says_the_same(command: Command, tmp_path: Path, tried: Tried) -> None:
    tried("bad inputs", "specs", true_process(command, tmp_path, 3))


@pytest.mark.slow
def test_dozens_of_processes_say_the_same(command: Command, tmp_path: Path, tried: Tried) -> None:
    tried("bad inputs", "specs", true_process(command, tmp_path, 36))
