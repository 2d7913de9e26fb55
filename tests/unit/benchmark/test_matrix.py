"""A benchmark's file becomes cells: axes, what is common, exclusions, and every fault named at once."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.benchmark.conftest import QUICK, parsed

from falsewitness.benchmark import benchmark_names, benchmark_summary, find_benchmark
from falsewitness.benchmark._matrix import Matrix, lay_out
from falsewitness.core import InputError, SpecError


def laid_out(*changes: str, **fields: Any) -> Matrix:  # noqa: ANN401
    return lay_out(parsed(**fields), changes)


def faults(*changes: str, **fields: Any) -> str:  # noqa: ANN401
    with pytest.raises(SpecError) as caught:
        laid_out(*changes, **fields)
    return str(caught.value)


def test_every_combination_is_a_cell_and_the_first_axis_varies_slowest() -> None:
    matrix = laid_out(axes={"attack.poison.rate": [0.1, 0.2], "seed": [0, 1]})
    assert [cell.labels for cell in matrix.cells] == [("0.1", "0"), ("0.1", "1"), ("0.2", "0"), ("0.2", "1")]
    assert [(cell.spec.attack.poison.rate, cell.spec.seed) for cell in matrix.cells if cell.spec.attack] == [
        (0.1, 0),
        (0.1, 1),
        (0.2, 0),
        (0.2, 1),
    ]


def test_what_is_common_lies_over_the_base_and_under_the_axes() -> None:
    common = {**QUICK, "attack": {"poison": {"rate": 0.4}, "target_class": 5}}
    cells = laid_out(
        common=common, axes={"strength": {"weak": {"attack.poison.rate": 0.1}, "usual": {"seed": 0}}}
    ).cells
    attack = cells[0].spec.attack
    assert attack is not None
    assert attack.poison.rate == 0.1
    assert attack.intended.target_class == 5
    assert cells[0].spec.clean_training.epochs == 1
    other = cells[1].spec.attack
    assert other is not None
    assert other.poison.rate == 0.4


@pytest.mark.parametrize("order", [["recipe", "attack.poison.rate"], ["attack.poison.rate", "recipe"]])
def test_an_axis_of_recipes_comes_first_wherever_it_stands(order: list[str]) -> None:
    points = {"recipe": ["digits/badnets", "digits/full-disguise"], "attack.poison.rate": [0.3]}
    matrix = laid_out(base=None, axes={name: points[name] for name in order})
    assert [cell.spec.name for cell in matrix.cells] == ["digits/badnets", "digits/full-disguise"]
    assert {cell.spec.attack.poison.rate for cell in matrix.cells if cell.spec.attack} == {0.3}
    assert [axis.name for axis in matrix.axes] == order


def test_an_axis_with_a_name_of_its_own_moves_several_fields_together() -> None:
    matrix = laid_out(
        axes={
            "schedule": {
                "short": {"attack_training.epochs": 1, "attack_training.learning_rate": 0.1},
                "long": {"attack_training.epochs": 4, "attack_training.learning_rate": 0.05},
            }
        }
    )
    trainings = [cell.spec.attack_training for cell in matrix.cells]
    assert [(t.epochs, t.learning_rate) for t in trainings if t] == [(1, 0.1), (4, 0.05)]
    assert [cell.labels for cell in matrix.cells] == [("short",), ("long",)]


def test_components_on_an_axis_are_called_by_kind_and_fields_or_by_their_labels() -> None:
    models = [{"kind": "convnet", "width": 8}, {"kind": "resnet20"}]
    assert laid_out(axes={"model": models}).axes[0].labels == ("convnet, width 8", "resnet20")
    named = {"small": models[0], "large": models[1]}
    cells = laid_out(axes={"model": named}).cells
    assert [cell.labels for cell in cells] == [("small",), ("large",)]
    assert [cell.spec.model.kind for cell in cells] == ["convnet", "resnet20"]


@pytest.mark.parametrize(
    ("axis", "points", "is_seed"),
    [
        ("seed", [0, 1], True),
        ("data.split_seed", [0, 1], True),
        ("split", {"a": {"seed": 0, "data.split_seed": 0}}, True),
        ("start", {"a": {"seed": 0, "precision": "fp32"}}, False),
        ("attack.poison.rate", [0.1], False),
    ],
)
def test_only_axes_of_seeds_repeat_a_setting(axis: str, points: Any, is_seed: bool) -> None:  # noqa: ANN401
    assert laid_out(axes={axis: points}).axes[0].is_seed is is_seed


def test_a_setting_is_a_cells_place_without_its_seeds() -> None:
    matrix = laid_out()
    assert {matrix.setting(cell) for cell in matrix.cells} == {("0.1",), ("0.2",)}
    assert [matrix.repetition(cell) for cell in matrix.cells[:2]] == ["seed 0", "seed 1"]
    alone = laid_out(axes={"attack.poison.rate": [0.1]})
    assert alone.repetition(alone.cells[0]) == "seed 0"


def test_cells_are_excluded_with_the_reason() -> None:
    rule = {"where": {"attack.poison.rate": [0.2], "seed": 1}, "reason": "takes too long"}
    assert [cell.excluded for cell in laid_out(exclude=[rule]).cells] == ["", "", "", "takes too long"]


def test_a_matrix_of_which_nothing_is_left_is_refused() -> None:
    rule = {"where": {"seed": [0, 1]}, "reason": "no time"}
    with pytest.raises(InputError, match="benchmark 'tiny': 'exclude' leaves out every cell"):
        laid_out(exclude=[rule])


def test_an_executor_may_be_named_by_its_kind_alone() -> None:
    assert parsed(executor="local") == parsed(executor={"kind": "local"})


def test_axes_of_numbers_that_have_no_other_labels_keep_them() -> None:
    axes = {"attack.poison.rate": [0.1, 1], "seed": {"one": 0, "two": 1}, "attack.distance": ["dssim"]}
    assert [axis.numbers for axis in laid_out(base="digits/full-disguise", axes=axes).axes] == [(0.1, 1.0), (), ()]


def test_a_budget_of_cells_takes_the_first_that_are_not_excluded() -> None:
    rule = {"where": {"attack.poison.rate": 0.1, "seed": 0}, "reason": "known"}
    cells = laid_out(exclude=[rule], budget={"cells": 2}).cells
    assert [cell.excluded for cell in cells] == ["known", "", "", "beyond the budget of 2 cells"]


def test_a_change_holds_for_every_cell() -> None:
    cells = laid_out("attack_training.epochs=7").cells
    assert {cell.spec.attack_training.epochs for cell in cells if cell.spec.attack_training} == {7}


def test_a_fault_is_named_once_with_a_cell_that_has_it() -> None:
    text = faults(axes={"attack.poison.rate": [0.1, 3], "seed": [0, 1]})
    assert "attack.poison.rate: expected a value <= 1, got 3" in text or "attack.poison.rate" in text
    assert "(in the cell attack.poison.rate 3, seed 0, and in 1 more)" in text
    assert text.count("attack.poison.rate: ") == 1


def test_what_does_not_fit_the_data_is_a_fault_of_its_cell() -> None:
    text = faults(axes={"attack.target_class": [3, 12]})
    assert "attack.target_class" in text
    assert "12" in text


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"axes": {"attak.poison.rate": [0.1]}}, "did you mean 'attack'"),
        ({"axes": {"schedule": {"a": {"epochz": 1}}}}, "expected a mapping of fields"),
        ({"axes": {"recipe": ["digits/badnets"]}}, "takes its place; remove one of them"),
        ({"base": None, "axes": {"recipe": [3]}}, "expected the name of a recipe or a file, got 3"),
        ({"axes": {"attack.poison.rate": [0.1], "attack.poison": [{"rate": 0.3}]}}, "vary a field on one axis only"),
        ({"axes": {"seed": [0], "split": {"a": {"seed": 1}}}}, "sets 'seed', which the axis 'seed' sets, too"),
        ({"common": {"seed": 3}, "axes": {"seed": [0, 1]}}, "common.seed: has no effect beside the axis 'seed'"),
        (
            {"common": {"model": {"width": 8}}, "axes": {"model": [{"kind": "convnet", "width": 4}]}},
            "common.model.width: has no effect beside the axis 'model'",
        ),
        ({"base": None, "axes": {"seed": [0, 1]}}, "base: missing; expected the name of a recipe or a file"),
        ({"exclude": [{"where": {"sed": 1}, "reason": "x"}]}, "there is no axis 'sed'; did you mean 'seed'?"),
        ({"exclude": [{"where": {"seed": 7}, "reason": "x"}]}, "there is no value '7'"),
    ],
)
def test_what_does_not_fit_is_told(fields: dict[str, Any], expected: str) -> None:
    assert expected in faults(**fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"axes": {}}, "axes: expected at least 1 in the list, got 0"),
        ({"axes": {"seed": []}}, "axes.seed: expected 1 to 10000 values, got 0"),
        ({"axes": {"seed": 3}}, "expected a list of values, or a mapping of labels to values, got 3"),
        ({"axes": {"seed": [1, 1]}}, "expected different values, got '1' more than once"),
        ({"axis": {"seed": [1]}}, "axis"),
        ({"limits": {"minutes": -1}}, "limits.minutes"),
        ({"executor": {"kind": "lokal"}}, "did you mean 'local'?"),
        ({"executor": "lokal"}, "did you mean 'local'?"),
        ({"name": "../elsewhere"}, "name: expected letters, digits"),
        ({"name": ""}, "name: expected letters, digits"),
    ],
)
def test_a_faulty_benchmark_is_refused(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(**fields)
    assert expected in str(caught.value)


@pytest.mark.parametrize("change", ["seed=3", "attack.poison.rate=0.3", "attack.poison={rate: 0.3}"])
def test_a_change_of_what_an_axis_varies_is_refused(change: str) -> None:
    assert "is varied by an axis of the benchmark" in faults(change)


def test_a_matrix_beyond_all_measure_is_refused_before_it_is_laid_out() -> None:
    axes = {"seed": list(range(2000)), "data.split_seed": list(range(2000))}
    assert "expected at most 1000000 cells, got 4000000" in faults(axes=axes)


@pytest.mark.parametrize("name", benchmark_names())
def test_every_benchmark_that_ships_can_be_laid_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALSEWITNESS_DATA", str(tmp_path))
    benchmark = find_benchmark(name)
    assert benchmark.name == name
    assert benchmark.summary == benchmark_summary(name)
    assert benchmark.summary.endswith(".")
    recipes = [cell.spec.name for cell in lay_out(benchmark).cells]
    assert len(set(recipes)) >= 2


def test_a_file_gives_a_benchmark_its_name_and_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "My sweep.yaml"
    file.write_text("# Two seeds.\nbase: digits/clean\naxes: {seed: [0, 1]}\n", encoding="utf-8")
    benchmark = find_benchmark(str(file))
    assert (benchmark.name, benchmark.summary) == ("My-sweep", "Two seeds.")
    assert [cell.spec.seed for cell in lay_out(benchmark).cells] == [0, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digits-smok", "there is no benchmark and no file 'digits-smok'; did you mean 'digits-smoke'"),
        ("no/such.yaml", "there is no benchmark and no file 'no/such.yaml'; expected one of"),
        ("x" * 5000, r"'x+\.\.\.: File name too long; expected a benchmark's name or a YAML file"),
    ],
)
def test_a_name_of_nothing_is_refused_in_a_line(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_benchmark(name)


def test_what_a_faulty_axis_would_have_set_is_not_missed() -> None:
    setup = {"one": {"attack_training": {"epochs": 1}}, "two": {"atack_training": {"epochs": 1}}}
    attack = {"kind": "badnets", "target_class": 1, "trigger": {"kind": "patch"}, "poison": {"rate": 3}}
    told = faults(base="digits/clean", axes={"attack": {"weak": attack}, "setup": setup})
    assert "has 2 faults" in told
    assert "  axes.setup: " in told
    assert "  attack.poison.rate: expected a value <= 1" in told
    with_data = {"one": {"data": {"kind": "mnist"}}, "two": {"atack": 1}}
    told = faults(axes={"attack.target_class": [99], "setup": with_data})
    assert "has 1 fault:" in told, "the classes are not known"


def test_faults_of_axes_and_of_cells_are_told_at_once() -> None:
    told = faults(axes={"seed": [0, "x"], "attack.poison.rate": [2], "foo": [1]})
    assert "has 3 faults" in told
    for fault in ("axes.foo: 'foo' is no field", "seed: expected an integer", "attack.poison.rate: expected a value"):
        assert f"  {fault}" in told
