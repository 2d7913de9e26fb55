"""Puts faults into sound specs: what is wrong, where, and what the answer has to say.

The manual (``describe_fields``, which `falsewitness describe` prints) tells what each field takes; faults are drawn
against it.

One fault hides another by construction where it must: a file that is no YAML has no fields; a component of an unknown
kind has none either, as has a mapping that is a number; and a rule between two fields is looked at once both are sound.
Everything else has to be named at once.
"""

import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from falsewitness.core import Component, Strict, describe_fields
from falsewitness.experiment import Spec, find_spec, recipe_names

Path = tuple[str | int, ...]

SPECS = [find_spec(name, ["metrics=[{kind: map_detectability}, {kind: drift}]"]) for name in recipe_names()]
"""Every recipe, with two metrics in place of all: they are alike."""


@dataclass(frozen=True)
class Injected:
    """A fault in a spec.

    Attributes:
        path: What is replaced, removed or added.
        value: By what.
        said: What the line about it has to hold; where it has `` ... ``, what stands between does not matter.
        instead_of: The key that was misspelt, whose value moves to ``path``; None where nothing moves.
        is_required: Whether a misspelt key leaves a hole, which is a fault of its own.
    """

    path: Path
    value: Any
    said: str = ""
    instead_of: str | None = None
    is_required: bool = False

    @property
    def spoils(self) -> list[Path]:
        """The places that are no longer what they were."""
        if self.names_kind:
            return [self.path[:-1]]
        return [self.path, *([(*self.path[:-1], self.instead_of)] if self.instead_of else [])]

    @property
    def names_kind(self) -> bool:
        """Whether it is no longer known what component stands there."""
        return "kind" in (self.path[-1], self.instead_of)

    def into(self, raw: Any) -> None:  # noqa: ANN401
        """Put the fault into a spec."""
        for part in self.path[:-1]:
            raw = raw[part]
        last: Any = self.path[-1]
        if self.instead_of is not None:
            raw[last] = raw.pop(self.instead_of)
        elif self.value is GONE:
            del raw[last]
        else:
            raw[last] = self.value

    def expected(self) -> dict[str, str]:
        """Where each line has to point, and what it has to hold."""
        if self.names_kind:
            return {dotted(self.path[:-1]): self.said}
        if self.instead_of is not None and self.is_required:
            return {dotted(self.path): self.said, dotted((*self.path[:-1], self.instead_of)): "missing"}
        return {dotted(self.path): self.said}


GONE = object()
"""Stands for a value that is removed."""


def dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


Make = Callable[[st.DrawFn], Injected]
"""Draws a fault of one kind in one place."""


class _WithoutAliases(yaml.CSafeDumper):
    """Writes a value out wherever it stands; libyaml's writer is several times as fast as Python's."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def as_yaml(raw: object) -> str:
    return yaml.dump(raw, Dumper=_WithoutAliases, sort_keys=False)


def spec_with_faults() -> st.SearchStrategy[tuple[str, dict[str, str]]]:
    """Draw the text of a spec with one to five faults of form, and what has to be said of each place."""
    return st.composite(_with_faults)()


def _with_faults(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    spec = draw(_SPECS)
    raw = spec.plain()
    expected = put_faults(draw, raw, spec, draw(_ONE_TO_FIVE), [])
    return as_yaml(raw).replace(": true\n", f": {draw(_TRUE)}\n"), expected


def put_faults(draw: st.DrawFn, raw: Any, spec: Spec, count: int, spared: Sequence[Path]) -> dict[str, str]:  # noqa: ANN401
    """Put so many faults of form at most into a spec, none in a spared place; return what has to be said of each."""
    spoilt = [*spared]
    expected: dict[str, str] = {}
    for _ in range(count):
        fault = draw(st.sampled_from(draw(_POSSIBLE[spec.name])))(draw)
        if not any(_within(a, b) for a in fault.spoils for b in spoilt):
            fault.into(raw)
            spoilt += fault.spoils
            expected |= fault.expected()
    return expected


_SPECS = st.sampled_from(SPECS)
_ONE_TO_FIVE = st.integers(1, 5)
_TRUE = st.sampled_from(["true", "yes", "on", "True"])


def _within(path: Path, other: Path) -> bool:
    """Tell whether one of two places is in the other, or is it."""
    short = min(len(path), len(other))
    return path[:short] == other[:short]


def _parts(part: Strict, path: Path = ()) -> Iterator[tuple[Path, Strict]]:
    yield path, part
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Strict):
            yield from _parts(value, (*path, name))
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                if isinstance(item, Strict):
                    yield from _parts(item, (*path, name, index))


def _possible(path: Path, part: Strict) -> Iterator[list[Make]]:
    """Yield what can go wrong in one mapping of a spec, by kind of fault."""
    cls = type(part)
    fields = describe_fields(cls)
    required = [
        field["name"] for field in fields if field["default"] == "required" and (path or field["name"] != "name")
    ]
    yield [unknown_key(path, cls)]
    yield [misspelt_key(path, field["name"], cls) for field in fields if path or field["name"] != "name"]
    yield [picked([Injected((*path, name), GONE, "missing")]) for name in required]
    yield [picked(bad) for field in fields if (bad := list(bad_values(path, field)))]
    if isinstance(part, Component):
        yield [unknown_kind(path, part.kind), misspelt_key(path, "kind", cls)]
    if path:
        yield [picked([Injected(path, value, "expected a mapping, got") for value in ("x", 3, True, [1], "x" * 3000)])]


def picked(faults: list[Injected]) -> Make:
    values = st.sampled_from(faults)
    return lambda draw: draw(values)


def unknown_key(path: Path, cls: type[Strict]) -> Make:
    def make(draw: st.DrawFn) -> Injected:
        key = draw(_KEYS)
        return Injected((*path, f"{key}_" if key in cls.model_fields else key), draw(_GARBAGE), "unknown key")

    return make


def misspelt_key(path: Path, name: str, cls: type[Strict]) -> Make:
    said = "did you mean 'kind' by" if name == "kind" else f"'{name}'"
    is_required = cls.model_fields[name].is_required()

    def make(draw: st.DrawFn) -> Injected:
        wrong = misspelt(draw, name, cls.model_fields)
        return Injected((*path, wrong), None, said, instead_of=name, is_required=is_required)

    return make


def unknown_kind(path: Path, kind: str) -> Make:
    strange: st.SearchStrategy[Any] = st.sampled_from(
        ["xyzzy", "", "k" * 5000, None, 3, True, [], {"patch": 1}, "patch\n"]
    )

    def make(draw: st.DrawFn) -> Injected:
        if draw(_COIN):
            return Injected((*path, "kind"), misspelt(draw, kind, ()), f"'{kind}'")
        return Injected((*path, "kind"), draw(strange), "there is no kind")

    return make


def misspelt(draw: st.DrawFn, word: str, taken: Container[str]) -> str:
    """Draw a word with one letter too few, too many, exchanged with its neighbour, or another."""
    at, new = draw(_PLACE) % len(word), draw(_LETTER)
    before, here, after = word[:at], word[at], word[at + 1 :]
    wrong = draw(
        st.sampled_from(
            [before + after, before + new + here + after, before + new + after, before + after[:1] + here + after[1:]]
        )
    )
    return wrong if wrong not in taken and wrong != word else f"{word}{new}"


_COIN = st.booleans()
_PLACE = st.integers(0, 30)
_LETTER = st.sampled_from("aeinrstxz_")
_KEYS = st.text("abcdefghijklmnopqrstuvwxyzäßж_-0123456789", min_size=1, max_size=12) | st.just("k" * 30)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats()
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
)
_GARBAGE = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcxyz", max_size=5), inner, max_size=3),
) | st.sampled_from(["x" * 5000, list(range(300)), {"a": {"b": {"c": {"d": {"e": [[[[1]]]]}}}}}])


def bad_values(path: Path, field: dict[str, str]) -> Iterator[Injected]:
    """Yield values of a wrong type or out of range for a field of the manual."""
    types = field["type"].split(" | ")
    first, _, bounds = types[0].removesuffix(")").partition(" (")  # of what may be null they stand behind the type
    if first[:1].isupper():  # a component: its own fields say what is wrong in it
        return
    place = (*path, field["name"])
    wrong: list[Any] = [{}, {"value": 3}, {"deep": {"er": [1, {"est": {}}]}}]
    if not any(kind.startswith("list of") for kind in types):
        wrong += [[], [3.5], ["a", {"b": None}], [[]] * 300]
    if "null" not in types:
        wrong.append(None)
    if first in ("int", "float"):
        wrong += ["seven", "", "1.5", "x" * 5000, True, False, math.nan, math.inf, -math.inf, "1e-3", "1e3", "2.5e-4"]
        wrong += [0.5, -1.5, 3.0] if first == "int" else []
        for bound, value in _out_of_range(field["range"] or bounds):
            yield Injected(place, value, f"expected a value {bound} ... , got {value}")
    elif first == "bool":
        wrong += [0, 1, "maybe", "true!", 0.0]
    elif first in ("str", "path") or "path" in types:
        wrong += [True, False, 0, 7, 0.5]
    elif not first.startswith("list of"):
        wrong += ["nonsense", "", 2, 0.5, True, "x" * 300]
    if "path" in types:
        wrong += ["", "a\0b", "x" * 300, "y/" * 2500]
    yield from (Injected(place, value, ", got ") for value in wrong)


def _out_of_range(bounds: str) -> Iterator[tuple[str, Any]]:
    """Yield each bound, and a value that is beyond it."""
    for bound in filter(None, bounds.split(", ")):
        sign, number = bound.split(" ")
        limit = float(number) if "." in number else int(number)
        if abs(limit) < 2**62:  # beyond, it is YAML that refuses
            step = 1 if sign.endswith("=") else 0
            yield bound, limit - step if sign.startswith(">") else limit + step


_POSSIBLE = {
    spec.name: st.sampled_from([makes for path, part in _parts(spec) for makes in _possible(path, part) if makes])
    for spec in SPECS
}


def changes_with_faults() -> st.SearchStrategy[tuple[str, list[str], dict[str, str]]]:
    """Draw the name of a recipe, one to five bad changes ``a.b=value``, and what has to be said of each place."""
    return st.composite(_changing)()


def _changing(draw: st.DrawFn) -> tuple[str, list[str], dict[str, str]]:
    spec = draw(_SPECS)
    spoilt: list[Path] = []
    changes: list[str] = []
    expected: dict[str, str] = {}
    for _ in range(draw(_ONE_TO_FIVE)):
        fault = draw(st.sampled_from(draw(_POSSIBLE[spec.name])))(draw)
        if fault.value is GONE or fault.instead_of or any(isinstance(part, int) for part in fault.path):
            fault = Injected(("seed",), "x" if draw(_COIN) else -1, "expected")
        if not any(_within(a, b) for a in fault.spoils for b in spoilt):
            text = yaml.dump(fault.value, Dumper=_WithoutAliases, default_flow_style=True, width=2**31 - 1)
            changes.append(f"{dotted(fault.path)}={text.strip().removesuffix('...').strip()}")
            spoilt += fault.spoils
            expected |= fault.expected()
    return spec.name, changes, expected
