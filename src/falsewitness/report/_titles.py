"""What the runs of a report are called, so that no two are called the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from falsewitness.core.errors import InputError
from falsewitness.core.plain_yaml import read_yaml
from falsewitness.report._run import Run
from falsewitness.report._text import clean_text, cut

_MOST_TOLD, _LONGEST_VALUE = 3, 40
_NOT_TOLD = {"name", "summary", "auditors", "metrics", "evaluation"}
"""Fields of a spec that make no other model."""


class _Leaf(NamedTuple):
    """A field of a spec that holds no others.

    Attributes:
        path: Its dotted keys.
        kinds: Of the parts that it stands in, from the outermost. It is compared among parts of the same kinds alone.
    """

    path: str
    kinds: tuple[str, ...]

    @property
    def last_word(self) -> str:
        return self.path.rpartition(".")[2]


_Leaves = Mapping[_Leaf, str]


def titles(runs: Sequence[Run]) -> list[str]:
    """Return a name for every run that no other has.

    Runs of one name are told apart by those fields of their specs in which they are not like most of them
    (``x, seed 1, target_map cross``), where these are few; else by seed, folder and place.
    """
    names = [clean_text(run.result.name) for run in runs]
    seeded = [f"{name}, seed {run.result.seed}" for name, run in zip(names, runs, strict=True)]
    placed = [f"{name} ({clean_text(run.folder.name)})" for name, run in zip(seeded, runs, strict=True)]
    longest = [f"{name} ({clean_text(str(run.folder))})" for name, run in zip(seeded, runs, strict=True)]
    pools = [(pool, Counter(pool)) for pool in (names, _told_apart(names, runs), seeded, placed)]
    return [
        next((pool[place] for pool, count in pools if pool[place] and count[pool[place]] == 1), longest[place])
        for place in range(len(runs))
    ]


def _told_apart(names: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """Return each run's name and how it is not like most others of it; empty where that is much, or is not known."""
    alike = Counter(names)
    specs = [_leaves(run) if alike[name] > 1 else {} for name, run in zip(names, runs, strict=True)]
    values: dict[tuple[str, _Leaf], Counter[str]] = {}
    for name, spec in zip(names, specs, strict=True):
        for leaf, value in spec.items():
            values.setdefault((name, leaf), Counter())[value] += 1
    return [
        _with_fields(name, spec, [leaf for leaf in spec if not _is_usual(spec[leaf], values[name, leaf])])
        if spec
        else ""
        for name, spec in zip(names, specs, strict=True)
    ]


def _is_usual(value: str, found: Counter[str]) -> bool:
    return 2 * found[value] > found.total()


def _with_fields(name: str, spec: _Leaves, told: Sequence[_Leaf]) -> str:
    if len(told) > _MOST_TOLD:
        return ""
    last_words = Counter(leaf.last_word for leaf in spec)
    words = [leaf.last_word if last_words[leaf.last_word] == 1 else leaf.path for leaf in told]
    values = [cut(clean_text(spec[leaf]), _LONGEST_VALUE) for leaf in told]
    return ", ".join([name, *(f"{word} {value}" for word, value in zip(words, values, strict=True))])


def _leaves(run: Run) -> _Leaves:
    """Return the fields of a run's spec that decide its model; none of a spec that cannot be read."""
    try:
        spec = read_yaml(run.spec.encode(), "spec.yaml")
    except InputError:
        return {}
    # A control is shared by attacks, and knows of the one that it was first trained for.
    left_out = _NOT_TOLD | ({"attack"} if run.result.role == "control" else set())
    return dict(_leaves_of(spec, "", (), left_out)) if isinstance(spec, dict) else {}


def _leaves_of(
    part: Mapping[str, object], path: str, kinds: tuple[str, ...], left_out: set[str]
) -> Iterator[tuple[_Leaf, str]]:
    within = (*kinds, str(part["kind"])) if "kind" in part else kinds
    for name, value in part.items():
        if name in left_out:
            continue
        if isinstance(value, dict):
            yield from _leaves_of(value, f"{path}{name}.", within, set())
        else:
            leaf = _Leaf(f"{path}{name}", kinds if name == "kind" else within)
            yield leaf, value if isinstance(value, str) else json.dumps(value)
