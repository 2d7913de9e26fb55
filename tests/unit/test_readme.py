"""README's commands and code, against the program."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from falsewitness.cli._app import app
from falsewitness.experiment import find_spec

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"^```\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("falsewitness ")
]


def test_there_are_commands_to_look_at() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_is_one_with_the_options_that_it_is_given(words: list[str]) -> None:
    command: Any = get_command(app)
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    if words[1] == "bench" and command.name == "bench":  # `bench NAME` is `bench run NAME`
        command = command.commands["run"]
    assert command.name in (*words, "run")
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known | {"--help"}


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[1] == "run"], ids=" ".join)
def test_every_recipe_that_is_run_exists_and_takes_its_changes(words: list[str]) -> None:
    if words[2].endswith(".yaml"):
        pytest.skip("a file of the reader's own")
    find_spec(words[2], [words[place + 1] for place, word in enumerate(words) if word == "--set"]).checked()


def test_the_code_for_a_model_of_one_s_own_runs() -> None:
    _, code = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102
    assert names["logits"].shape == (1, 1000)
    assert names["maps"].shape == (2, 224, 224)
    assert names["every"].shape[:2] == (1, 1000)
