"""``falsewitness describe``: the manual page of a component."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from falsewitness.cli._prose import paragraphs, plain, wrapped
from falsewitness.cli.catalogue import catalogues, find_room
from falsewitness.core.errors import InputError

if TYPE_CHECKING:
    from falsewitness.core import Component, Strict

_WIDEST = 100

_PLACES = {
    "data": "data: {}",
    "models": "model: {}",
    "triggers": "attack: {{trigger: {}}}",
    "attacks": "attack: {}",
    "explainers": "auditors: [{}]",
    "metrics": "metrics: [{}]",
    "executors": "executor: {}",
}
"""Where a spec, or a benchmark, names a component of each room."""


def describe(
    room: Annotated[str, typer.Argument(metavar="KIND", help="attacks, data, executors, explainers, ...")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="A component, as `falsewitness list` names it.")],
) -> None:
    """Tell what a component is: fields, defaults, threat model, source.

    Examples:
        falsewitness describe attacks full_disguise
        falsewitness describe explainers gradcam
        falsewitness describe executors ray
    """
    from falsewitness.cli._console import console, say

    if room.removesuffix("s") in ("recipe", "benchmark"):
        raise InputError(f"a {room.removesuffix('s')} is a file; `falsewitness show {name}` prints it")
    found = catalogues()
    room = find_room(room, list(found))
    cls = found[room].get(name)
    say(f"{name}, one of the {room}", style="bold")
    for heading, lines in _page(room, cls, min(console.width, _WIDEST)):
        say(f"\n{heading}", style="bold")
        say(lines)


def _page(room: str, cls: "type[Component]", width: int) -> Iterator[tuple[str, str]]:
    """Yield the sections of the page, each a heading and its text."""
    if cls.__doc__:
        told = ("\n".join(_told(item, width) for item in items) for items in paragraphs(cls))
        yield "DESCRIPTION", "\n\n".join(told)
    fields = [f"{wrapped(head, width, 2, hanging=4)}\n{wrapped(meaning, width, 6)}" for head, meaning in _fields(cls)]
    if fields:
        yield "FIELDS", "\n".join(fields)
    if threat_model := getattr(cls, "threat_model", None):
        yield "THREAT MODEL", f"  The attacker {threat_model.value}."
    if capabilities := _capabilities(cls):
        yield "CAPABILITIES", "\n".join(wrapped(line, width, 2, hanging=4) for line in capabilities)
    component = ", ".join([f"kind: {cls.kind_name()}", *_required(cls)])
    yield (
        "IN A BENCHMARK" if room == "executors" else "IN A SPEC",
        wrapped(_PLACES[room].format(f"{{{component}}}"), width, 2, hanging=2),
    )
    if room == "explainers":
        yield "ON THE COMMAND LINE", "\n".join(wrapped(line, width, 2, hanging=4) for line in _commands(cls))
    if cls.source:
        yield "SOURCE", wrapped(cls.source, width, 2)


def _commands(cls: "type[Component]") -> list[str]:
    """Return what can be typed to try an explainer."""
    written = f"'{{{', '.join([f'kind: {cls.kind_name()}', *_required(cls)])}}}'"
    return [
        f"falsewitness evaluate RUN --auditor {written}",
        f"falsewitness explain IMAGE --model RUN --explainer {written}",
    ]


def _capabilities(cls: "type[Component]") -> list[str]:
    """Return what an explainer needs and can do, a line each; nothing of other components."""
    from falsewitness.explainers import Explainer

    if not issubclass(cls, Explainer):
        return []
    reached = {
        "answers": "the model's answers alone (a black box)",
        "activations": "answers and activations of layers",
        "gradients": "activations and gradients",
        "layers": "every layer and its weights",
    }
    background = cls.model_fields.get("background")
    size = None if background is None else background.default
    return [
        f"Explains: {cls.explains}.",
        f"Must reach: {reached[cls.access]}.",
        f"Maps: {'signed' if cls.signed else 'never negative'}"
        f"{', adding up to the score less its mean over the background set' if cls.adds_up else ''}.",
        f"Background set: {'none' if size is None else f'training images, {size} by default'}.",
        f"Random numbers: {'by its seed, the same for every image' if cls.stochastic else 'none'}.",
        f"Can be trained against: {'yes' if cls.surrogate else 'no, its maps carry no gradients'}.",
    ]


def _told(item: str, width: int) -> str:
    return wrapped(item, width, 2, hanging=2 if item.startswith("* ") else 0)


def _fields(cls: "type[Strict]", prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield a line on each field and what it means, required ones first; those of a nested part under its name."""
    from falsewitness.core import describe_fields

    for field in sorted(describe_fields(cls), key=lambda field: field["default"] != "required"):
        name = field["name"]
        part = _part(cls, name)
        if part is not None:
            yield from _fields(part, f"{prefix}{name}.")
            continue
        kinds = _kinds(cls, name)
        what = [f"{{kind: {' | '.join(kinds)}}}"] if kinds else [field["type"], field["range"]]
        default = "required" if field["default"] == "required" else f"default {field['default']}"
        yield f"{prefix}{name}: {', '.join(filter(None, [*what, default]))}", plain(field["meaning"])


def _part(cls: "type[Strict]", name: str) -> "type[Strict] | None":
    """Return the class of a field that is a mapping of further fields."""
    from falsewitness.core import Component, Strict

    annotation = cls.model_fields[name].annotation
    if isinstance(annotation, type) and issubclass(annotation, Strict) and not issubclass(annotation, Component):
        return annotation
    return None


def _kinds(cls: "type[Strict]", name: str) -> tuple[str, ...]:
    """Return the components that a field takes; none where it takes something else."""
    from falsewitness.core import Catalogue

    catalogues = [part for part in cls.model_fields[name].metadata if isinstance(part, Catalogue)]
    return catalogues[0].kinds() if catalogues else ()


def _required(cls: "type[Strict]") -> Iterator[str]:
    """Yield each required field as a spec would have it, with dots for its value."""
    for name, field in cls.model_fields.items():
        part = _part(cls, name)
        if field.is_required() and name != "kind":
            yield f"{name}: {{{', '.join(_required(part))}}}" if part else f"{name}: ..."
