"""Ways to damage a file of a run, and to do what a line says about it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.system.runs import written_by

Damage = Callable[[Path], object]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def edited(file: Path) -> None:
    """Change a digit, or a bit where there is no text."""
    content = bytearray(file.read_bytes())
    digits = [match.start() for match in re.finditer(rb"[0-8]", content)]
    place = digits[len(digits) // 3] if file.suffix in (".json", ".jsonl", ".yaml") else len(content) * 2 // 3
    content[place] ^= 1
    file.write_bytes(content)


def missing(file: Path) -> None:
    file.unlink()


DAMAGES: tuple[Damage, ...] = (cut, emptied, edited, missing)


def in_turn(names: Sequence[str]) -> list[object]:
    """Give every file every damage, to be a test's parameters; all but one for each file are slow."""
    return [
        pytest.param(name, damage, marks=() if number == place % len(DAMAGES) else pytest.mark.slow)
        for place, name in enumerate(names)
        for number, damage in enumerate(DAMAGES)
    ]


def follow(fault: str) -> None:
    """Do what a line says: remove what it names."""
    removed = re.search(r"remove '([^']+)'", fault)
    if removed is None:
        assert re.search(r"remove it and run again|remove it to begin this training anew", fault), fault
        removed = re.search(r"'([^']+)'", fault)
    assert removed is not None
    Path(removed[1]).unlink()


def changed_since(before: dict[str, tuple[int, int]], runs: Path) -> set[tuple[str, str]]:
    """Which files were written, came or went: as the beginning of the folder's name, and the file's."""
    after = written_by(runs)
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return {(name.split("-")[0], name.rsplit("/", 1)[-1]) for name in names}
