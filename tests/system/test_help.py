import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.conftest import Command

from falsewitness import __version__

COMMANDS = [
    "demo",
    "run",
    "evaluate",
    "explain",
    "list",
    "describe",
    "show",
    "report",
    "bench",
    "bench run",
    "bench status",
    "bench watch",
    "bench export",
    "data",
    "data list",
    "data prepare",
    "data check",
]
HEAVY = ("torch", "datasets", "matplotlib", "numpy", "PIL")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_and_every_example_stands_on_a_line_of_its_own(ask: Command, name: str) -> None:
    answer = ask(*name.split(), "--help")
    assert (answer.code, answer.err) == (0, "")
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "``" not in answer.out
    if name not in ("data", "bench"):
        _, _, examples = answer.out.partition("Examples:")
        lines = [line for line in examples.splitlines() if line.strip()]
        assert lines
        typed = name.replace("bench run", "bench")  # of which `run` is left out
        assert all(line.lstrip().startswith(f"falsewitness {typed}") for line in lines), examples


def test_the_short_form_of_help_is_known(ask: Command) -> None:
    assert ask("run", "-h") == ask("run", "--help")


@pytest.mark.parametrize("group", ["", "data", "bench"])
def test_a_name_without_a_command_shows_the_help(ask: Command, group: str) -> None:
    assert ask(*group.split()) == ask(*group.split(), "--help")


def test_every_command_has_its_summary_on_one_line(ask: Command) -> None:
    text = ask("--help").out
    for name in COMMANDS:
        if " " not in name:
            assert re.search(rf"^│ {name} +\S.*[.]\s+│$", text, flags=re.MULTILINE), name


def test_the_version_is_told(ask: Command) -> None:
    assert ask("--version").out == f"falsewitness {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "Missing argument 'RECIPE|FILE'. See 'falsewitness run --help'."),
        (["rum", "digits/clean"], "No such command 'rum'. Did you mean 'run'? See 'falsewitness --help'."),
        (["run", "digits/clean", "--sett", "a=1"], "See 'falsewitness run --help'."),
        (["run", "digits/clean", "seed=1"], "See 'falsewitness run --help'."),
        (["run", "digits/clean", "--out"], "--help'."),
        (["explain", "a.png"], "Missing option '--model'. See 'falsewitness explain --help'."),
        (["data", "prepare"], "Missing argument 'NAME'. See 'falsewitness data prepare --help'."),
        (["--no-such"], "See 'falsewitness --help'."),
    ],
)
def test_misuse_is_answered_with_one_line_that_names_the_help(ask: Command, words: list[str], message: str) -> None:
    answer = ask(*words)
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1
    assert answer.fault.endswith(message)


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    script = f"""
import sys
from falsewitness.cli.main import entry
for name in {COMMANDS}:
    sys.argv = ["falsewitness", *name.split(), "--help"]
    try:
        entry()
    except SystemExit as ended:
        assert not ended.code, name
print(sorted(sys.modules.keys() & set({HEAVY})), file=sys.stderr)
"""
    answer = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stderr == "[]\n"
