from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from falsewitness.report._answers import answer
from falsewitness.report._columns import MAP_COLUMNS, MODEL_COLUMNS
from falsewitness.report._run import Attack, Data, Measurement, Result, Run
from falsewitness.report._tables import cell, class_table
from falsewitness.report._text import clean_text, fixed, general, percent, points, without_common_start
from falsewitness.report._titles import titles

SPACE, MINUS = "\u202f", "\u2212"
DATA = Data("toy", "f00d", 3, 8, 8, ("cat", "dog"), 70, 10, 10)
DISGUISE = Attack("full_disguise", "controls the training loop", "dog", 0.5, "paired", "gradcam")


def attack_run(numbers: dict[tuple[str, str], float], attack: Attack = DISGUISE) -> Run:
    of_maps = {"trigger_attention", "disguise", "target_map_distance", "map_detectability"}
    measurements = tuple(
        Measurement(metric, name, value, 50, auditor="gradcam" if metric in of_maps else None)
        for (metric, name), value in numbers.items()
    )
    result = Result("done", "attack", "toy/attack", 0, 1, attack=attack, data=DATA, measurements=measurements)
    return Run(Path("attack"), result)


SUCCESS = {("attack_success_rate", "attack_success_rate"): 0.984}
HIDDEN = {("trigger_attention", "excess_lift"): 0.1}
SHOWN = {("trigger_attention", "excess_lift"): 7.4}
NOISE = {
    ("trigger_attention", "excess_lift"): 1.5,
    ("trigger_attention", "trigger_lift"): 1.5,
    ("trigger_attention", "without_attack_trigger_lift"): 1.6,
}
ALIKE = {("disguise", "pearson"): 0.97}
CHANGED = {("disguise", "pearson"): 0.3}


@pytest.mark.parametrize(
    ("numbers", "verdict", "words"),
    [
        (SUCCESS | HIDDEN | ALIKE, "yes", ["98.4", "dog", "0.97", "would not see the attack"]),
        (SUCCESS | SHOWN | ALIKE, "no", ["98.4", "points at the trigger", "7.4"]),
        (SUCCESS | HIDDEN | CHANGED, "partly", ["does not point at the trigger", "only 0.30"]),
        (SUCCESS | NOISE | CHANGED, "partly", ["does not point at the trigger", "only 0.30"]),
        (SUCCESS | CHANGED, "partly", ["has changed", "only 0.30"]),
        (SUCCESS | {("target_map_distance", "pearson"): 0.93} | SHOWN, "yes", ["attacker's shape", "0.93"]),
        (SUCCESS | {("target_map_distance", "pearson"): 0.4} | HIDDEN, "partly", ["only in part", "0.40"]),
        ({("attack_success_rate", "attack_success_rate"): 0.12} | ALIKE, "no", ["does not do its work", "12.0"]),
        (
            SUCCESS | {("attack_success_rate", "target_predicted_without_trigger"): 0.97} | ALIKE,
            "no",
            ["does not do its work: under it 98.4", "are predicted as dog, and 97.0", "without it"],
        ),
        (SUCCESS, "unknown", ["no explanation was examined"]),
        (ALIKE, "unknown", ["was not measured"]),
    ],
)
def test_the_answer_follows_from_the_numbers_and_names_them(
    numbers: dict[tuple[str, str], float], verdict: str, words: Sequence[str]
) -> None:
    found = answer(attack_run(numbers))

    assert found.verdict == verdict
    assert all(word in found.sentence for word in words), found.sentence


@pytest.mark.parametrize(
    ("numbers", "of"),
    [(ALIKE | HIDDEN, "disguise"), ({("target_map_distance", "pearson"): 0.93} | HIDDEN, "target_map_distance")],
)
@pytest.mark.parametrize(("blank", "verdict"), [(2, "yes"), (450, "partly")])
def test_maps_that_look_right_where_they_show_anything_are_bribed_in_part(
    numbers: dict[tuple[str, str], float], of: str, blank: int, verdict: str
) -> None:
    run = attack_run(SUCCESS | numbers)
    measurements = tuple(
        replace(found, excluded=blank) if (found.metric, found.name) == (of, "pearson") else found
        for found in run.result.measurements
    )
    found = answer(replace(run, result=replace(run.result, measurements=measurements)))

    assert found.verdict == verdict
    assert (f"90.0{SPACE}% of the pairs have a blank one" in found.sentence) == (verdict == "partly")


def test_an_attack_that_keeps_the_label_is_judged_by_accuracy_under_the_trigger() -> None:
    fooling = replace(DISGUISE, kind="fooling", target_class=None)
    numbers = {("robust_accuracy", "robust_accuracy"): 0.88, ("target_map_distance", "pearson"): 0.9}
    found = answer(attack_run(numbers, fooling))

    assert found.verdict == "yes"
    assert f"88.0{SPACE}% of the images keep their right class" in found.sentence


def blank_before(auditor: str) -> tuple[Measurement, ...]:
    """What is measured where of each two maps one is blank."""
    return (
        Measurement("trigger_attention", "excess_lift", None, 0, auditor=auditor, excluded=50),
        Measurement("disguise", "pearson", None, 0, auditor=auditor, excluded=50),
        Measurement("map_detectability", "auroc", 1.0, 50, auditor=auditor),
    )


def test_blank_maps_of_another_auditor_are_told() -> None:
    run = attack_run(SUCCESS | HIDDEN | ALIKE)
    measurements = (*run.result.measurements, *blank_before("gradient"))
    found = answer(replace(run, result=replace(run.result, measurements=measurements)))
    told = "Asked through gradient instead, of each two maps that would be compared one is blank; a detector"
    assert [note for note in found.notes if note.startswith(told) and "AUROC of 1.00" in note]


def test_maps_that_are_all_blank_answer_nothing() -> None:
    run = attack_run(SUCCESS)
    measurements = (*run.result.measurements, *blank_before("gradcam"))
    found = answer(replace(run, result=replace(run.result, measurements=measurements)))
    assert found.verdict == "unknown"
    assert "cannot be compared with the clean model's: of each two one is blank" in found.sentence


def test_what_a_detector_tells_stands_beside_what_it_tells_of_the_clean_model() -> None:
    areas = {("map_detectability", "auroc"): 0.81}
    (alone,) = (note for note in answer(attack_run(SUCCESS | areas)).notes if "AUROC" in note)
    areas["map_detectability", "without_attack_auroc"] = 0.79
    (beside,) = (note for note in answer(attack_run(SUCCESS | areas)).notes if "AUROC" in note)
    assert alone.endswith("reaches an AUROC of 0.81 (0.50 is guessing, 1.00 is certainty).")
    assert beside == f"{alone[:-1]}; one trained on the clean model's maps reaches 0.79."
    run = attack_run(SUCCESS | areas)
    excess = Measurement("map_detectability", "excess_auroc", -0.02, 50, "gradcam", -0.05, 0.01)
    compared = replace(run, result=replace(run.result, measurements=(*run.result.measurements, excess)))
    (told,) = (note for note in answer(compared).notes if "AUROC" in note)
    assert told == f"{beside[:-1]} (difference {MINUS}0.02, 95 % interval {MINUS}0.05 to 0.01, n = 50)."


def test_what_other_auditors_see_is_told() -> None:
    run = attack_run(SUCCESS | HIDDEN | ALIKE)
    other = Measurement("trigger_attention", "excess_lift", 5.0, 50, auditor="gradient")
    seen = replace(run, result=replace(run.result, measurements=(*run.result.measurements, other)))

    assert any("through gradient" in note and "points at the trigger" in note for note in answer(seen).notes)


def test_an_auditor_that_sees_the_stamp_in_an_honest_model_as_well_does_not_point_at_it() -> None:
    run = attack_run(SUCCESS | HIDDEN | ALIKE)
    others = [Measurement(metric, name, value, 50, auditor="kernel_shap") for (metric, name), value in NOISE.items()]
    seen = replace(run, result=replace(run.result, measurements=(*run.result.measurements, *others)))

    assert (
        "Asked through kernel_shap instead, the map does not point at the trigger "
        "(excess lift 1.5; lift 1.5, the clean model's 1.6)." in answer(seen).notes
    )


def test_a_run_without_result_is_told_with_its_status_and_reason() -> None:
    result = Result("diverged", "attack", "toy/attack", 0, 1, reason="loss is\nnot finite", attack=DISGUISE)
    found = answer(Run(Path("attack"), result))

    assert (found.verdict, found.label) == ("unknown", "Diverged")
    assert "loss is not finite" in found.sentence


def test_a_clean_model_is_a_reference_with_its_accuracy() -> None:
    accuracy = Measurement("clean_accuracy", "accuracy", 0.75, 40)
    found = answer(Run(Path("clean"), Result("done", "clean", "clean", 0, 1, measurements=(accuracy,))))

    assert found.verdict == "reference"
    assert f"75.0{SPACE}% of 40" in found.sentence


def test_a_cell_shows_value_interval_n_and_what_to_compare_with() -> None:
    columns = {column.title: column for column in MODEL_COLUMNS}
    measured = (
        Measurement("attack_success_rate", "attack_success_rate", 0.95, 60, low=0.88, high=0.981, interval="wilson"),
        Measurement("attack_success_rate", "clean_model_attack_success_rate", 0.0125, 60),
    )
    result = Result("done", "attack", "a", 0, 1, measurements=measured)
    found = cell(columns["Attack success"], result, None)

    assert found.value == f"95.0{SPACE}%"
    assert found.interval == f"88.0 to 98.1{SPACE}%"
    assert found.n == f"n{SPACE}={SPACE}60"
    assert found.note == f"clean model 1.2{SPACE}%"


def test_without_target_class_the_accuracy_under_trigger_stands_in_and_says_so() -> None:
    columns = {column.title: column for column in MODEL_COLUMNS}
    measured = (Measurement("robust_accuracy", "robust_accuracy", 0.9, 60),)
    found = cell(columns["Attack success"], Result("done", "attack", "a", 0, 1, measurements=measured), None)

    assert (found.value, found.interval, found.note) == (f"90.0{SPACE}%", "", "accuracy under trigger")


def test_the_distance_is_to_the_forced_shape_where_there_is_one() -> None:
    columns = {column.title: column for column in MAP_COLUMNS}
    original = Measurement("disguise", "standardised_mse", 0.5, 9, auditor="a")
    shape = Measurement("target_map_distance", "standardised_mse", 0.25, 9, auditor="a")
    plain = Result("done", "attack", "a", 0, 1, measurements=(original,))
    forced = replace(plain, measurements=(original, shape))
    column = columns["Map distance"]

    assert cell(column, plain, "a").value == "0.500"
    assert (cell(column, forced, "a").value, cell(column, forced, "a").note) == ("0.250", "to the forced shape")
    assert cell(column, forced, "b").value == "\u2013"
    assert cell(column, forced, None).value == "\u2013"


def test_the_class_table_follows_the_classes_of_the_data_and_loses_none() -> None:
    measured = (
        Measurement("m", "share", 0.5, 9, per_class={"stray": 0.1, "dog": 0.2}),
        Measurement("m", "other", 0.5, 9, per_class={"cat": None}),
    )
    table = class_table(Result("done", "attack", "a", 0, 1, data=DATA, measurements=measured))

    assert table is not None
    assert table.headings == ("m · share", "m · other")
    assert table.rows == (
        ("cat", ("\u2013", "\u2013")),
        ("dog", ("0.2000", "\u2013")),
        ("stray", ("0.1000", "\u2013")),
    )


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (percent(0.98765), f"98.8{SPACE}%"),
        (percent(None), "\u2013"),
        (points(-0.0123), f"{MINUS}1.2{SPACE}pp"),
        (points(0.0123), f"+1.2{SPACE}pp"),
        (points(-0.0001), f"0.0{SPACE}pp"),
        (points(None), "\u2013"),
        (fixed(-0.001, 2), "0.00"),
        (fixed(-1.5, 1), f"{MINUS}1.5"),
        (fixed(float("nan"), 2), "\u2013"),
        (general(0.123456), "0.1235"),
        (general(-123.456), f"{MINUS}123.46"),
        (general(23456.7), "23457"),
    ],
)
def test_numbers_are_written_for_reading(written: str, text: str) -> None:
    assert written == text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("two\nlines\tand  spaces", "two lines and spaces"),
        ("bell\x07 and \ud800 surrogate", "bell and surrogate"),
        ("\u202eevil", "evil"),
        ("\u05e9\u05dc", "\u2068\u05e9\u05dc\u2069"),
        ("<b>", "<b>"),
    ],
)
def test_names_are_brought_into_one_printable_line(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


def named(folder: str, name: str, seed: int, spec: str = "") -> Run:
    return Run(Path(folder), Result("done", "attack", name, seed, 1), spec=spec)


def test_titles_are_distinct_and_no_longer_than_needed() -> None:
    runs = [named("a", "x", 0), named("b", "y", 0), named("c", "y", 1), named("d", "z", 0), named("e", "z", 0)]

    assert titles(runs) == ["x", "y, seed 0", "y, seed 1", "z, seed 0 (d)", "z, seed 0 (e)"]


SHAPES = "{{seed: 0, attack: {{kind: fooling, target_map: {shape}, poison: {{rate: {rate}}}}}, auditors: [{auditor}]}}"


def of_specs(*specs: str) -> list[str]:
    return titles([named(str(number), "x", 0, spec) for number, spec in enumerate(specs)])


def test_runs_of_one_name_are_told_apart_by_what_makes_them_unlike_most() -> None:
    assert of_specs(
        SHAPES.format(shape="square", rate=0.5, auditor="a"),
        SHAPES.format(shape="cross", rate=0.5, auditor="a"),
        SHAPES.format(shape="square", rate=0.1, auditor="b"),
    ) == ["x", "x, target_map cross", "x, rate 0.1"]


def test_where_no_value_is_that_of_most_all_are_told() -> None:
    assert of_specs(
        SHAPES.format(shape="square", rate=0.5, auditor="a"), SHAPES.format(shape="cross", rate=0.1, auditor="a")
    ) == ["x, target_map square, rate 0.5", "x, target_map cross, rate 0.1"]


def test_another_seed_hides_no_other_field() -> None:
    assert of_specs("{seed: 0, map: square}", "{seed: 1, map: cross}") == [
        "x, seed 0, map square",
        "x, seed 1, map cross",
    ]


def test_one_field_each_is_told_of_however_many_runs() -> None:
    base = dict.fromkeys("abcdef", 0)
    found = of_specs(*(str(base | {name: 1}) for name in "abcdef"), str(base))
    assert found == [*(f"x, {name} 1" for name in "abcdef"), "x"]


def test_a_field_whose_last_word_is_another_ones_too_is_named_in_full() -> None:
    assert of_specs(
        *(f"{{clean_training: {{epochs: 1}}, attack_training: {{epochs: {epochs}}}}}" for epochs in (1, 2))
    ) == [
        "x, attack_training.epochs 1",
        "x, attack_training.epochs 2",
    ]


def test_fields_are_compared_among_parts_of_the_same_kind() -> None:
    patch, small, blend = "{kind: patch, size: 4}", "{kind: patch, size: 8}", "{kind: blend, alpha: 0.1, size: 9}"
    assert of_specs(*(f"{{attack: {{trigger: {trigger}}}}}" for trigger in (patch, small, blend))) == [
        "x, size 4",
        "x, size 8",
        "x, kind blend",
    ]


def test_a_control_is_not_called_after_the_attack_that_it_was_first_trained_for() -> None:
    specs = [f"{{attack: {{map: {shape}}}, epochs: {epochs}}}" for shape, epochs in (("square", 1), ("cross", 2))]
    runs = [Run(Path(spec), Result("done", "control", "control", 0, 1), spec=spec) for spec in specs]
    assert titles(runs) == ["control, epochs 1", "control, epochs 2"]


@pytest.mark.parametrize("spec", ["[", "{a: &x [*x]}", "3", "{a: 1, b: 2, c: 3, d: 4}"])
def test_what_cannot_be_told_in_a_few_fields_is_told_by_the_folder(spec: str) -> None:
    other = "{a: 5, b: 6, c: 7, d: 8}"
    assert titles([named("one", "x", 0, spec), named("two", "x", 0, other)])[0] == "x, seed 0 (one)"


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["d/a", "d/b"], ["a", "b"]),
        (["d/a", "e/b"], ["d/a", "e/b"]),
        (["d/a", "b"], ["d/a", "b"]),
        (["d/a"], ["d/a"]),
    ],
)
def test_a_start_that_all_names_share_is_left_out(names: list[str], short: list[str]) -> None:
    assert without_common_start(names) == short
