"""Where specs come from: recipes of the package, files that lean on them, and changes on top."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from falsewitness.attacks.badnets import BadNets
from falsewitness.core import InputError, SpecError
from falsewitness.experiment import Spec, changed, find_spec, read_spec, recipe_names, recipe_summary

Write = Callable[..., str]
INTEGERS = st.integers(-(2**63) + 1, 2**63 - 1)


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Writes a spec file and gives its path."""

    def write(text: str | bytes, name: str = "mine.yaml") -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def refusal(name: str, *changes: str) -> str:
    with pytest.raises(InputError) as caught:
        find_spec(name, changes)
    return str(caught.value)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_a_spec_that_fits_its_data(name: str) -> None:
    spec = find_spec(name)
    assert spec.name == name
    assert spec.checked() == spec


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_says_what_it_is_in_its_first_line(name: str) -> None:
    summary = recipe_summary(name)
    assert 20 < len(summary) < 150
    assert summary.endswith(".")
    assert not summary.startswith("#")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_written_out_and_read_again(name: str, written: Write) -> None:
    spec = find_spec(name)
    path = written(spec.to_yaml())
    assert read_spec(Path(path)) == spec
    assert find_spec(path) == spec


def test_a_spec_stays_readable_and_exact_in_any_alphabet(written: Write) -> None:
    readable = find_spec("digits/clean", ["model.pretrained=größe/图.safetensors"])
    assert "größe/图.safetensors" in readable.to_yaml()
    strange = find_spec("digits/clean", ['model.pretrained="a\\x85b\\u2028c"'])
    for spec in (readable, strange):
        assert find_spec(written(spec.to_yaml())) == spec


def test_recipes_are_named_after_folder_and_file_and_sorted() -> None:
    assert recipe_names() == sorted(recipe_names())
    assert {"digits/badnets", "digits/clean", "digits/full-disguise"} <= set(recipe_names())


def test_a_spec_in_a_file_is_named_after_it_unless_it_says_otherwise(written: Write) -> None:
    assert find_spec(written("base: digits/clean")).name == "mine"
    assert find_spec(written("base: digits/clean\nname: other/one")).name == "other/one"


def test_a_file_is_laid_over_the_recipe_that_it_names(written: Write) -> None:
    base, spec = (
        find_spec("digits/badnets"),
        find_spec(
            written(
                """
                base: digits/badnets
                seed: 7
                attack: {poison: {rate: 0.2}, trigger: {size: 5}}
                auditors: [{kind: gradcam}]
                """
            )
        ),
    )
    expected = base.plain() | {"name": "mine", "seed": 7, "auditors": [{"kind": "gradcam", "layer": None}]}
    expected["attack"]["poison"]["rate"] = 0.2
    expected["attack"]["trigger"]["size"] = 5
    assert spec.plain() == expected


def test_another_kind_drops_what_the_recipe_said_of_the_one_before(written: Write) -> None:
    spec = find_spec(written("base: digits/badnets\nattack: {trigger: {kind: border, width: 2}}"))
    assert spec.attack is not None
    assert spec.attack.trigger.plain() == {"kind": "border", "width": 2, "colour": [1.0]}
    assert spec.attack.kind == "badnets"


def test_the_same_kind_keeps_it(written: Write) -> None:
    spec = find_spec(written("base: digits/badnets\nattack: {trigger: {kind: patch, margin: 2}}"))
    assert spec.attack is not None
    assert spec.attack.trigger.plain() | {"size": 4, "margin": 2} == spec.attack.trigger.plain()


def test_null_takes_away_what_the_recipe_has(written: Write) -> None:
    spec = find_spec(written("base: digits/badnets\nattack: null\nattack_training: null"))
    assert spec.attack is None
    assert spec.checked() == spec


def test_a_base_that_does_not_exist_is_answered_with_the_nearest(written: Write) -> None:
    message = refusal(written("base: digits/badnet"))
    assert "base: there is no recipe 'digits/badnet'; did you mean 'digits/badnets'" in message


@pytest.mark.parametrize("base", ["3", "[digits/clean]", "{a: 1}", "null", "../../secret"])
def test_a_base_that_is_no_recipe_is_refused(written: Write, base: str) -> None:
    assert "base: there is no recipe" in refusal(written(f"base: {base}"))


def test_what_is_neither_recipe_nor_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    message = refusal("digits/badnet")
    assert message.startswith("there is no recipe and no file 'digits/badnet'; did you mean 'digits/badnets'")
    assert "is a folder; expected a recipe's name or a YAML file" in refusal(str(tmp_path))
    assert "x...: File name too long; expected a recipe's name or a YAML file" in refusal("x" * 5000)
    assert "there is no recipe and no file" in refusal("nul\0byte")
    assert "there is no recipe and no file ''" in refusal("")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [1, 2", "expected YAML, got"),
        ("a: b: c", "expected YAML, got"),
        ("\tname: x", "expected YAML, got"),
        ("a: 1\n---\nb: 2", "expected YAML, got"),
        ("a: !!python/object/apply:os.system [ls]", "expected YAML, got"),
        ("a: " + "[" * 1500, "expected YAML, got"),
        ("", "expected a mapping of keys to values, got null"),
        ("- a\n- b", "expected a mapping of keys to values, got ['a', 'b']"),
        ("just words", "expected a mapping of keys to values, got 'just words'"),
        ("a: &x 1\nb: *x", "a fault in line 2, column 4: an alias (*x), which no spec has; write the value out"),
        ("a: &x {b: *x}", "a fault in line 1, column 11: an alias (*x), which no spec has; write the value out"),
        ("seed: 1\nseed: 2", "the key 'seed' twice in one mapping"),
        ("data: {kind: digits, kind: mnist}", "the key 'kind' twice in one mapping"),
        (b"name: caf\xe9", "expected YAML in UTF-8, got"),
        (b"\x00\x01\x02", "expected YAML, got"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(written: Write, text: str | bytes, reason: str) -> None:
    path = written(text)
    message = refusal(path)
    assert reason in message
    assert path in message
    assert "\n" not in message


def test_a_spec_with_faults_tells_them_all_with_the_name_of_the_file(written: Write) -> None:
    path = written("base: digits/badnets\nattack: {poison: {rate: 2}, trigger: {kind: pach}}\ncolour: red")
    message = refusal(path)
    assert message.startswith(f"spec '{path}' has 3 faults:")
    for place in ("attack.poison.rate", "attack.trigger", "colour"):
        assert f"  {place}: " in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("attack.trigger.size=40", "attack.trigger.size: expected a square within 32x32 pixels, got 40x40"),
        ("attack.target_class=10", "attack.target_class: expected a class from 0 to 9, got 10"),
        ("attack_training=null", "attack_training: missing; an attack needs to be told how it is trained"),
        ("attack=null", "attack_training: expected none where there is no attack; remove it or add an attack"),
        ("attack.poison.classes=[3, 12]", "attack.poison.classes: expected classes from 0 to 9, got 12"),
        ("data.train_limit=5", "data.train_limit: expected at least one image a class (10), got 5"),
    ],
)
def test_parts_that_do_not_fit_the_data_are_told_before_it_is_read(change: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        find_spec("digits/badnets", [change]).checked()
    assert f"  {message}" in str(caught.value)


class TestSet:
    """``--set a.b=value``."""

    raw: ClassVar[dict[str, Any]] = {
        "seed": 0,
        "attack": {"kind": "badnets", "target_class": 3, "trigger": {"kind": "patch", "size": 4}},
        "auditors": [{"kind": "gradcam"}],
        "empty": None,
    }

    @pytest.mark.parametrize(
        ("change", "path", "value"),
        [
            ("seed=1", ["seed"], 1),
            ("seed=1.5", ["seed"], 1.5),
            ("seed=", ["seed"], None),
            ("seed='1'", ["seed"], "1"),
            ("seed=a=b", ["seed"], "a=b"),
            ("seed=[1, {a: 2}]", ["seed"], [1, {"a": 2}]),
            ("attack.trigger.size=5", ["attack", "trigger", "size"], 5),
            ("attack.trigger.kind=patch", ["attack", "trigger"], {"kind": "patch", "size": 4}),
            ("attack.trigger.kind=border", ["attack", "trigger"], {"kind": "border"}),
            ("attack.kind=fooling", ["attack"], {"kind": "fooling"}),
            ("attack.trigger={kind: border}", ["attack", "trigger"], {"kind": "border"}),
            ("new.parents.of=x", ["new", "parents"], {"of": "x"}),
            ("empty.kind=a", ["empty"], {"kind": "a"}),
            ("auditors=[]", ["auditors"], []),
        ],
    )
    def test_one_value_is_changed(self, change: str, path: list[str], value: object) -> None:
        found: Any = changed(self.raw, [change])
        for key in path:
            found = found[key]
        assert found == value

    @pytest.mark.parametrize("change", ["attack.trigger.size=5", "attack.kind=fooling", "seed=3", "a.b.c=1"])
    def test_what_is_changed_is_left_alone_itself(self, change: str) -> None:
        before = yaml.safe_dump(self.raw)
        changed(self.raw, [change])
        assert yaml.safe_dump(self.raw) == before

    @pytest.mark.parametrize("change", ["attack.trigger.size=5", "new.key=1", "seed=9"])
    def test_everything_else_stays(self, change: str) -> None:
        found = changed(self.raw, [change])
        top = change.partition("=")[0].partition(".")[0]
        assert {key: found[key] for key in self.raw if key != top} == {k: v for k, v in self.raw.items() if k != top}

    @pytest.mark.parametrize("change", ["seed", "", "=", "=3"])
    def test_a_change_that_names_no_value_is_refused(self, change: str) -> None:
        with pytest.raises(InputError, match=r"--set: expected a.b=value, got"):
            changed(self.raw, [change])

    @pytest.mark.parametrize("change", ["seed=[1", "seed=a: b: c", "seed=*x", "seed=!!python/name:os"])
    def test_a_value_that_is_no_yaml_is_refused_in_one_line(self, change: str) -> None:
        with pytest.raises(InputError) as caught:
            changed(self.raw, [change])
        assert f"--set {change}" in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("place", ["seed", "auditors"])
    def test_a_parent_that_is_no_mapping_is_named(self, place: str) -> None:
        with pytest.raises(InputError, match=rf"--set {place}\.x\.y: expected a mapping in '{place}', got"):
            changed(self.raw, [f"{place}.x.y=1"])

    def test_all_changes_that_cannot_be_made_are_told_at_once(self) -> None:
        with pytest.raises(SpecError) as caught:
            changed(self.raw, ["seed", "seed=1", "attack.x=[", "seed.x=1"])
        assert [str(fault) for fault in caught.value.faults] == [
            "--set: expected a.b=value, got 'seed'",
            "--set attack.x=[: expected YAML, got a fault in line 1, column 2: while parsing a flow node, expected the "
            "node content, but found '<stream end>'",
            "--set seed.x: expected a mapping in 'seed', got 1",
        ]

    def test_changes_are_applied_in_turn(self) -> None:
        changes = ["attack.trigger.kind=border", "attack.trigger.width=2", "attack.trigger.width=3"]
        attack = find_spec("digits/badnets", changes).attack
        assert attack is not None
        assert attack.trigger.plain() == {"kind": "border", "width": 3, "colour": [1.0]}

    def test_a_changed_kind_that_misses_a_field_is_told(self) -> None:
        assert "  attack.trigger.path: missing; a value is required" in refusal(
            "digits/badnets", "attack.trigger.kind=image"
        )

    @given(st.recursive(st.none() | st.booleans() | INTEGERS | st.text("ab c"), lambda x: st.lists(x, max_size=3)))
    def test_any_value_of_yaml_can_be_set(self, value: object) -> None:
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n...\n").strip()
        assert changed(self.raw, [f"attack.x={text}"])["attack"]["x"] == value


def test_a_spec_is_frozen_data() -> None:
    assert find_spec("digits/badnets") == find_spec("digits/badnets")
    assert hash(find_spec("digits/badnets")) == hash(find_spec("digits/badnets"))
    assert isinstance(find_spec("digits/badnets"), Spec)


def test_a_faulty_spec_also_tells_what_of_it_does_not_fit_the_data() -> None:
    changes = ["clean_training.epochs=bad", "attack.target_class=10", "attack.trigger.size=33", "data.train_limit=3"]
    told = refusal("digits/badnets", *changes)
    for path in ("clean_training.epochs", "attack.target_class", "attack.trigger.size", "data.train_limit"):
        assert f"  {path}: expected" in told
    assert "has 4 faults" in told


def test_parts_of_a_faulty_part_are_checked_too() -> None:
    told = refusal("digits/badnets", "attack.poison.rate=bad", "attack.trigger.size=33")
    assert "  attack.poison.rate: expected a number" in told
    assert "  attack.trigger.size: expected a square within 32x32 pixels" in told


@pytest.mark.parametrize(
    ("name", "faulty", "sound"),
    [
        ("cifar10-noppel/full-disguise-gradient", "attack.drift_weight={}", "attack.drift_share=0.25"),
        ("digits/badnets", "attack.trigger.margin=x", "attack.trigger.size=32"),
        ("digits/clean", "auditors=[{kind: kernel_shap, grid: x, samples: 20}]", "metrics=[]"),
        ("digits/badnets", "attack.trigger={kind: patch, margn: 0, size: 32}", "metrics=[]"),
    ],
)
def test_nothing_is_told_that_rests_on_the_default_of_a_faulty_field(name: str, faulty: str, sound: str) -> None:
    assert "has 1 fault:" in refusal(name, faulty, sound)


def test_a_faulty_field_hides_no_fault_of_another_class_of_its_part() -> None:
    told = refusal("digits/badnets", "attack.trigger.margin=x", "attack.trigger.colour=[1, 0]")
    assert "  attack.trigger.margin: expected an integer" in told
    assert "  attack.trigger.colour: expected" in told


@pytest.mark.parametrize(
    "faulty",
    ["trigger.kind=patsch", "trigger=7", "poison.rate=x", "poison=x", "surrogate.kind=nope", "surrogate.layer={}"],
)
def test_a_faulty_part_hides_no_fault_of_the_part_that_holds_it(faulty: str) -> None:
    told = refusal("digits/full-disguise", f"attack.{faulty}", "attack.target_class=33")
    assert "has 2 faults:" in told
    assert "  attack.target_class: expected a class from 0 to 9" in told


def test_a_fault_of_a_check_itself_is_not_taken_for_an_unset_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BadNets, "_check", lambda attack, info: attack.nothing)
    with pytest.raises(AttributeError, match="nothing"):
        find_spec("digits/badnets", ["attack.trigger.size=x"])


def test_a_faulty_spec_tells_that_its_data_is_missing(tmp_path: Path) -> None:
    told = refusal("digits/badnets", "seed=x", f"data={{kind: image_folder, root: {tmp_path / 'nowhere'}}}")
    assert "  seed: expected an integer" in told
    assert "no folder" in told


def test_nothing_is_fetched_to_check_a_faulty_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(place: object, scratch: object) -> None:
        raise AssertionError

    monkeypatch.setattr("falsewitness.data.hub.open_set", fail)
    told = refusal("digits/badnets", "data={kind: hub, name: owner/set, size: 8}", "seed=x")
    assert "has 1 fault:" in told


def test_a_faulty_split_of_the_data_hides_nothing_that_rests_on_its_images() -> None:
    told = refusal("digits/badnets", "data.split_seed=x", "attack.target_class=33", "attack.trigger.size=40")
    assert "has 3 faults:" in told


@pytest.mark.parametrize("name", ["clean", "control"])
def test_an_attack_is_not_called_as_models_that_attacks_share(name: str) -> None:
    with pytest.raises(SpecError, match=f"name: expected another than '{name}'"):
        find_spec("digits/badnets", [f"name={name}"]).checked()
    assert find_spec("digits/clean", [f"name={name}"]).checked().name == name
