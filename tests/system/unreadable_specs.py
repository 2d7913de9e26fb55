"""Draws files that cannot be read as a spec, whatever may stand in them, and what has to be said of each."""

from dataclasses import dataclass

import yaml
from hypothesis import strategies as st
from tests.system.faulty_specs import SPECS


@dataclass(frozen=True)
class Unreadable:
    """A file.

    Attributes:
        content: Its bytes.
        said: What the one line about it has to hold.
    """

    content: bytes
    said: str


def unreadable_yaml() -> st.SearchStrategy[Unreadable]:
    """Draw what is no YAML, or none that this program takes, whatever it is read as."""
    return st.one_of(*(st.composite(make)() for make in (_spoilt, _bomb, _deep, _tagged)))


def unreadable_specs() -> st.SearchStrategy[Unreadable]:
    return unreadable_yaml() | st.composite(_other)()


_TEXTS = st.sampled_from([yaml.safe_dump(spec.plain(), sort_keys=False) for spec in SPECS])


def _spoilt(draw: st.DrawFn) -> Unreadable:
    """A spec in which one line is spoilt."""
    lines = draw(_TEXTS).splitlines()
    place = draw(st.integers(0, len(lines) - 1))
    indent = lines[place][: len(lines[place]) - len(lines[place].lstrip(" "))]
    new, said = draw(
        st.sampled_from(
            [
                (b"\t" + lines[place].encode(), "found character '\\t' that cannot start any token"),
                (lines[place].encode() + b" \xff", "expected YAML in UTF-8"),
                (lines[place].encode() + b" \xc3", "expected YAML in UTF-8"),
                (lines[place].encode() + b" \x00", "the character #x0000, which YAML cannot hold"),
                (lines[place].encode() + b" # \x1b[31m", "the character #x001b, which YAML cannot hold"),
                (b"--- {}\n---", "expected "),
                (b"...\n" + lines[place].encode(), "expected "),
                (b"'never closed", "found unexpected end of stream"),
                (f"{indent}x: {'9' * draw(st.integers(19, 9000))}".encode(), "which is no integer of 64 bits"),
                (f"{indent}x: -0x{'f' * draw(st.integers(17, 9000))}".encode(), "which is no integer of 64 bits"),
                (f"{indent}x: 0b_".encode(), "which is no integer of 64 bits"),
                (f'{indent}x: "\\udc80"'.encode(), "half a character"),
                (f"{indent}x: 1\n{indent}x: 2".encode(), "the key 'x' twice in one mapping"),
                (f"{indent}? [a]\n{indent}: 2".encode(), "found unhashable key"),
                (f"{indent}x: @b".encode(), "cannot start any token"),
                (f"{indent}x: {{a: 1, a: 2}}".encode(), "the key 'a' twice in one mapping"),
            ]
        )
    )
    if place == 0 and new.startswith(b"..."):
        place = 1
    if lines[place].lstrip(" ").startswith("- ") or (place > 0 and lines[place - 1].rstrip().endswith(":")):
        said = "expected "  # in a list, or in place of a mapping, YAML may stumble over something else first
    kept = [line.encode() for line in lines]
    return Unreadable(b"\n".join([*kept[:place], new, *kept[place:]]) + b"\n", said)


def _bomb(draw: st.DrawFn) -> Unreadable:
    """A "billion laughs": a few lines that stand for more than any memory holds."""
    levels, width = draw(st.integers(2, 30)), draw(st.integers(1, 30))
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return Unreadable("\n".join([*lines, f"seed: *a{levels - 1}"]).encode(), "an alias (*a0), which no spec has")


def _deep(draw: st.DrawFn) -> Unreadable:
    """Lists in lists in lists, or mappings, or keys."""
    opened = draw(st.sampled_from(["[", "{a: ", "- ", "? ", "[{b: ", '"x": [']))
    levels = draw(st.integers(25, 60_000 // len(opened)))
    said = "expected YAML, got a fault" if opened == '"x": [' else "more than 20 mappings and lists within one another"
    return Unreadable((opened * levels if opened in "- ? " else f"seed: {opened * levels}").encode(), said)


def _tagged(draw: st.DrawFn) -> Unreadable:
    """A tag, with which YAML can ask for any object or call."""
    tag = draw(
        st.sampled_from(
            [
                "!!python/object/apply:os.system ['touch pwned']",
                "!!python/object/new:pathlib.Path [pwned]",
                "!!python/name:os.system",
                "!!python/module:this ''",
                "!!python/tuple [1]",
                "!!binary aGVsbG8=",
                "!!set {a}",
                "!!omap [a: 1]",
                "!!timestamp 2001-01-01",
                "!!int ''",
                "!!float x",
                "!!bool maybe",
                "!!null ''",
                "!own {a: 1}",
                "! x",
                "!<tag:example.org,2000:x> 1",
            ]
        )
    )
    key = draw(st.sampled_from(["seed", "x", "name", "data", "base"]))
    return Unreadable(f"{key}: {tag}\nmodel: {{kind: convnet}}\n".encode(), "; write the value without it")


def _other(draw: st.DrawFn) -> Unreadable:
    """Something else altogether."""
    many = draw(st.integers(8000, 40_000))
    return draw(
        st.sampled_from(
            [
                Unreadable(b"", "expected a mapping of keys to values, got null"),
                Unreadable(b"# only a remark\n", "expected a mapping of keys to values, got null"),
                Unreadable(b"- a\n- b\n", "expected a mapping of keys to values, got ['a', 'b']"),
                Unreadable(b"just words\n", "expected a mapping of keys to values, got 'just words'"),
                Unreadable(b"12\n", "expected a mapping of keys to values, got 12"),
                Unreadable(f"seed: [{'12345678, ' * many}]".encode(), "expected at most 65536 bytes, got more"),
                Unreadable(b"seed: " + b"x" * 9 * many, "expected at most 65536 bytes, got more"),
                Unreadable(b"\x00" * many, "expected YAML, got the character #x0000"),
                Unreadable("base: digits/badnets\nseed: x\n".encode("utf-16"), "expected YAML in UTF-8"),
                Unreadable(b"PK\x03\x04" + bytes(range(256)) * 8, "expected YAML in UTF-8"),
                Unreadable(b"%YAML 9.9\n---\nseed: 1\n", "found incompatible YAML document"),
                Unreadable(b"base: digits/cleen\n", "base: there is no recipe 'digits/cleen'; did you mean"),
                Unreadable(b"base: [digits/clean]\n", "base: there is no recipe ['digits/clean']"),
                Unreadable(b"base: null\n", "base: there is no recipe null"),
                Unreadable(b"base: ../../../etc/passwd\n", "base: there is no recipe '../../../etc/passwd'"),
                Unreadable(b"base: " + b"y" * 50_000, "base: there is no recipe 'yyy"),
            ]
        )
    )
