"""What the runs of a report are called, so that no two are called the same."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from falsewitness.core.errors import InputError
from falsewitness.core.plain_yaml import read_yaml
from falsewitness.report._run import Run
from falsewitness.report._text import clean_text, cut

_MOST_TOLD, _LONGEST_VALUE = 3, 40
_NOT_TOLD = {"name", "summary", "auditors", "metrics", "evaluation"}
"""Fields of a spec that make no other model."""

_NONE = json.dumps(None)
"""What a spec of an earlier version says of a field that it lacks."""


def titles(runs: Sequence[Run]) -> list[str]:
    """Return a name for every run that no other has.

    Runs of one name are told apart by the fields of their specs in which they differ (``x, seed 1, target_map cross``),
    where these are few; else by seed, folder and place.
    """
    names = [clean_text(run.result.name) for run in runs]
    seeded = [f"{name}, seed {run.result.seed}" for name, run in zip(names, runs, strict=True)]
    told = _told_apart(names, runs)
    placed = [f"{name} ({clean_text(run.folder.name)})" for name, run in zip(seeded, runs, strict=True)]
    longest = [f"{name} ({clean_text(str(run.folder))})" for name, run in zip(seeded, runs, strict=True)]
    pools = [(pool, Counter(pool)) for pool in (names, seeded, told, placed)]
    return [
        next((pool[place] for pool, count in pools if pool[place] and count[pool[place]] == 1), longest[place])
        for place in range(len(runs))
    ]


def _told_apart(names: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """Return each run's name with the fields in which it differs from others of it; empty where these are many."""
    alike = Counter(names)
    fields = [dict(_leaves(run)) if alike[name] > 1 else {} for name, run in zip(names, runs, strict=True)]
    having = Counter((name, path) for name, own in zip(names, fields, strict=True) for path in own)
    values = {key: set() if having[key] == alike[key[0]] else {_NONE} for key in having}
    for name, own in zip(names, fields, strict=True):
        for path, value in own.items():
            values[name, path].add(value)
    return [
        _with_fields(name, own, [path for path in own if len(values[name, path]) > 1])
        for name, own in zip(names, fields, strict=True)
    ]


def _with_fields(name: str, values: Mapping[str, str], differing: Sequence[str]) -> str:
    kinds = tuple(path.removesuffix("kind") for path in differing if path.endswith(".kind"))
    told = [path for path in differing if path.endswith(".kind") or not path.startswith(kinds)]
    if not 0 < len(told) <= _MOST_TOLD:
        return ""
    last_words = Counter(map(_last_word, values))
    words = [_last_word(path) if last_words[_last_word(path)] == 1 else path for path in told]
    shown = [cut(clean_text(values[path]), _LONGEST_VALUE) for path in told]
    return ", ".join([name, *(f"{word} {value}" for word, value in zip(words, shown, strict=True))])


def _last_word(path: str) -> str:
    return path.rpartition(".")[2]


def _leaves(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the fields of a run's spec that decide its model, by path; none of a spec that cannot be read."""
    try:
        spec = read_yaml(run.spec.encode(), "spec.yaml")
    except InputError:
        return
    if isinstance(spec, dict):
        yield from _leaves_of({name: value for name, value in spec.items() if name not in _NOT_TOLD}, "")


def _leaves_of(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, nested in value.items():
            yield from _leaves_of(nested, f"{path}.{name}" if path else str(name))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)
