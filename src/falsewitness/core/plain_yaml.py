"""YAML as specs have it: plain values, read in little time whatever stands in the file."""

from typing import Any, cast

import yaml

from falsewitness.core import InputError

LONGEST = 65_536
"""Bytes; thirty times the longest spec with every default written out."""

DEEPEST = 20
"""Mappings and lists within one another; four times what a spec needs."""

_NO_INTEGER_BEYOND = 2**63
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = {f"{_PREFIX}{name}" for name in ("null", "bool", "int", "float")}


def read_yaml(content: bytes, where: str) -> object:
    """Return what a file says.

    Only plain values are taken: no tags, which can ask for any Python object, and no aliases, with which a short text
    can stand for a long one. A date is text.

    Args:
        content: YAML in UTF-8; one byte more than the most is enough to be refused.
        where: What is read, for the error message.

    Raises:
        InputError: If it is no such YAML, is very long, or is nested very deeply.
    """
    if len(content) > LONGEST:
        raise InputError(f"{where}: expected at most {LONGEST} bytes, got more; is it the right file?")
    try:
        return yaml.load(content.decode("utf-8-sig"), Loader=_PlainLoader)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: expected YAML in UTF-8, got {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"a fault in line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        reason = ", ".join(filter(None, (error.context, error.problem)))
    except yaml.reader.ReaderError as error:
        place, reason = "", f"the character #x{error.character:04x}, which YAML cannot hold"
    raise InputError(f"{where}: expected YAML, got {place}{reason}")


class _PlainLoader(yaml.SafeLoader):
    """YAML's safe subset without tags and aliases, in which a key stands once and integers have 64 bits."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way
        first: [(tag, form) for tag, form in forms if tag in _PLAIN]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        event = cast(yaml.Event, self.peek_event())  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _fault(event, f"an alias (*{str(event.anchor)[:60]}), which no spec has; write the value out")
        if (tag := getattr(event, "tag", None)) is not None:
            raise _fault(event, f"the tag {str(tag).replace(_PREFIX, '!!')[:60]}; write the value without it")
        if self._depth == DEEPEST:
            raise _fault(event, f"more than {DEEPEST} mappings and lists within one another")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise _fault(key, f"the key '{key.value[:60]}' twice in one mapping")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:  # noqa: ANN401
        value = super().construct_scalar(node)
        if isinstance(value, str) and not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
            raise _fault(node, "half a character (a surrogate)")
        return value

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        try:
            value = int(super().construct_yaml_int(node))
        except ValueError:  # thousands of digits, or none: 0x_
            value = _NO_INTEGER_BEYOND
        if abs(value) >= _NO_INTEGER_BEYOND:
            raise _fault(node, f"{node.value[:60]}, which is no integer of 64 bits")
        return value

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        try:
            return float(super().construct_yaml_float(node))
        except (ValueError, OverflowError):  # a hundred places of sixty: 1:1:...:1.5
            raise _fault(node, f"{node.value[:60]}, which is no number") from None


_PlainLoader.add_constructor(f"{_PREFIX}int", _PlainLoader.construct_yaml_int)
_PlainLoader.add_constructor(f"{_PREFIX}float", _PlainLoader.construct_yaml_float)


def _fault(at: Any, problem: str) -> yaml.MarkedYAMLError:  # noqa: ANN401
    """Return what PyYAML raises, at an event or a node."""
    return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)
