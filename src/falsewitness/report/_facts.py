"""What a run worked on and what it cost, as short lines of text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from falsewitness.report._columns import COST_COLUMNS
from falsewitness.report._run import Data, Result, Run
from falsewitness.report._text import Form, clean_text, with_unit

_COSTS = {column.cost: (column.title, column.form) for column in COST_COLUMNS}


def count_of(runs: Sequence[Run]) -> str:
    """Say how many runs there are."""
    return _plural(len(runs), "run")


def lead(runs: Sequence[Run]) -> str:
    """Say in a sentence what is compared on the page."""
    roles = Counter(run.result.role for run in runs)
    attacks = _plural(roles["attack"], "attacked model") if roles["attack"] else ""
    others = [
        _plural(roles["clean"], "clean model") if roles["clean"] else "",
        _plural(roles["control"], "control") if roles["control"] else "",
    ]
    beside = " and ".join(filter(None, others))
    if attacks and beside:
        return f"{attacks.capitalize()} beside {beside}."
    return f"{(attacks or beside).capitalize()}."


def _plural(count: int, noun: str) -> str:
    words = (
        "no",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    )
    number = words[count] if count < len(words) else str(count)
    return f"{number} {noun}" if count == 1 else f"{number} {noun}s"


def data_line(data: Data) -> str:
    """Describe the images a run worked on."""
    colours = "grey" if data.channels == 1 else "colour"
    return (
        f"Data: {clean_text(data.kind)}, {data.width}\u202f\u00d7\u202f{data.height} pixels, {colours}, "
        f"{len(data.class_names)} classes; {data.train} training, {data.validation} validation and "
        f"{data.test} test images."
    )


def setting(result: Result) -> str:
    """Describe in one line how a model was attacked; empty without attack."""
    attack = result.attack
    if attack is None:
        return ""
    rate = f"poison rate {_rate(attack.poison_rate)}" if attack.poison_rate is not None else ""
    mode = f" ({clean_text(attack.mode)})" if rate and attack.mode else ""
    parts = (
        clean_text(attack.kind).replace("_", " "),
        f"attacker {clean_text(attack.threat_model)}",
        rate + mode,
        f"trained against {clean_text(attack.surrogate)}" if attack.surrogate else "no loss on explanations",
    )
    return " · ".join(filter(None, parts))


def _rate(share: float) -> str:
    return with_unit(f"{100 * share:.3g}", "%")


def run_facts(run: Run) -> tuple[tuple[str, str], ...]:
    """List what identifies a run and what it cost."""
    return tuple((name, value) for name, value in _facts(run) if value)


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    result = run.result
    yield "Status", result.status + (f": {clean_text(result.reason)}" if result.reason else "")
    yield "Role", result.role
    yield "Seed", str(result.seed)
    yield "Setting", setting(result)
    if result.data:
        yield "Data", data_line(result.data).removeprefix("Data: ")
        yield "Data fingerprint", clean_text(result.data.fingerprint)
    yield "Training digest", clean_text(result.train_digest)
    yield "Evaluation digest", clean_text(result.eval_digest)
    for role, parent in result.parents.items():
        yield f"Its {clean_text(role)} run", clean_text(parent)
    for name, value in result.cost.items():
        title, form = _COSTS.get(name, (clean_text(name).replace("_", " ").capitalize(), Form(2)))
        yield title, form(value)


def environment_facts(environment: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Flatten what was recorded of the machine into lines."""
    return tuple(_flat(environment, ""))


def _flat(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        yield clean_text(path), clean_text(", ".join(str(item) for item in value))
    else:
        yield clean_text(path), clean_text(str(value))
