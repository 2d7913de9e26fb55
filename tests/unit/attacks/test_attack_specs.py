from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from falsewitness.attacks import ATTACKS, Attack, Intended
from falsewitness.core import DataInfo, SpecError, ThreatModel
from falsewitness.explainers.gradcam import GradCam
from falsewitness.triggers.patch import Patch

INFO = DataInfo(3, 32, 32, ("one", "two", "three"))
TRIGGER: dict[str, Any] = {"kind": "patch", "size": 4}


def plain(kind: str, **fields: object) -> dict[str, Any]:
    raw: dict[str, Any] = {"kind": kind, "trigger": TRIGGER, "poison": {"rate": 0.1}}
    if kind != "badnets":
        raw["surrogate"] = {"kind": "gradcam"}
    if kind != "fooling":
        raw["target_class"] = 1
    return raw | fields


def attack(kind: str, **fields: object) -> Attack:
    return ATTACKS.get(kind).parse(plain(kind, **fields), "attack")


@pytest.mark.parametrize(
    ("kind", "threat"),
    [
        ("badnets", ThreatModel.DATA),
        ("fooling", ThreatModel.TRAINING),
        ("full_disguise", ThreatModel.TRAINING),
        ("red_herring", ThreatModel.TRAINING),
    ],
)
def test_only_an_attack_with_a_loss_of_its_own_needs_the_training_loop(kind: str, threat: ThreatModel) -> None:
    assert attack(kind).threat_model == threat


@pytest.mark.parametrize(
    ("kind", "intended"),
    [
        ("badnets", Intended(1, None)),
        ("fooling", Intended(None, "square")),
        ("full_disguise", Intended(1, None)),
        ("red_herring", Intended(1, "square")),
    ],
)
def test_an_attack_says_what_a_triggered_image_should_get(kind: str, intended: Intended) -> None:
    assert attack(kind).intended == intended


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("badnets", {"start": "scratch", "poison": {"rate": 1.0, "mode": "append", "classes": [0, 2]}}),
        ("fooling", {"target_map": "cross", "drift_weight": 0.25, "distance": "dssim"}),
        ("full_disguise", {"reference": "self", "surrogate": {"kind": "gradient", "smoothness": 5.0}}),
        ("red_herring", {"target_map": "shapes/mine.png", "explanation_weight": 1.0}),
    ],
)
def test_plain_data_gives_an_equal_attack(kind: str, fields: dict[str, Any]) -> None:
    first = attack(kind, **fields)
    assert ATTACKS.get(kind).parse(first.plain(), "attack") == first
    for name, value in fields.items():
        stored = first.plain()[name]
        assert stored == value if not isinstance(value, dict) else value.items() <= stored.items()


def test_parts_can_be_given_as_objects() -> None:
    built = attack("full_disguise", trigger=Patch(size=4), surrogate=GradCam())
    assert built == attack("full_disguise")


@pytest.mark.parametrize("kind", ATTACKS.kinds())
def test_what_fits_has_no_faults(kind: str) -> None:
    assert attack(kind).check(INFO) == []


@pytest.mark.parametrize("kind", ["badnets", "full_disguise", "red_herring"])
def test_a_target_class_that_the_data_does_not_have_is_a_fault(kind: str) -> None:
    (fault,) = attack(kind, target_class=3).check(INFO)
    assert str(fault) == "target_class: expected a class from 0 to 2, got 3; they are 0 'one', 1 'two', 2 'three'"
    with pytest.raises(SpecError, match="target_class: expected a value >= 0, got -1"):
        attack(kind, target_class=-1)


def test_all_faults_are_named_at_once_with_their_paths() -> None:
    faults = attack("red_herring", target_class=7, trigger={"kind": "patch", "size": 40}, target_map="sqare").check(
        INFO
    )
    assert [fault.path for fault in faults] == ["target_map", "target_class", "trigger.size"]


@pytest.mark.parametrize("kind", ["fooling", "full_disguise", "red_herring"])
def test_a_surrogate_that_carries_no_gradients_is_a_fault(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GradCam, "surrogate", False)
    (fault,) = attack(kind).check(INFO)
    assert str(fault) == "surrogate: expected an explainer that carries gradients, got 'gradcam'"


@pytest.mark.parametrize("kind", ["fooling", "red_herring"])
def test_a_misspelt_shape_is_known_before_anything_is_trained(kind: str) -> None:
    (fault,) = attack(kind, target_map="sqare").check(INFO)
    assert str(fault) == (
        "target_map: expected one of square, cross, circle, triangle, or the path of an image; there is no file 'sqare'"
    )


@pytest.mark.parametrize("kind", ["fooling", "red_herring"])
def test_a_shape_has_no_scale_that_the_discordance_could_hold_to(kind: str) -> None:
    (fault,) = attack(kind, distance="discordance").check(INFO)
    assert str(fault) == ("distance: expected one that leaves the scale free, as a shape has none, got 'discordance'")


def test_a_shape_from_a_file_is_one_of_the_attack_s_files(tmp_path: Path) -> None:
    picture = Image.new("L", (16, 16))
    picture.paste(255, (4, 4, 12, 12))
    picture.save(tmp_path / "shape.png")
    examined = attack("fooling", target_map=str(tmp_path / "shape.png"))
    assert examined.check(INFO) == []
    assert examined.files() == (tmp_path / "shape.png",)
    assert attack("fooling", target_map="circle").files() == ()


def test_a_shape_of_one_brightness_is_refused(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 128).save(tmp_path / "flat.png")
    (fault,) = attack("fooling", target_map=str(tmp_path / "flat.png")).check(INFO)
    assert str(fault).startswith("target_map: expected a shape with dark and bright parts, got one that is of one bri")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"explanation_weight": 1.5}, "explanation_weight: expected a value <= 1.0, got 1.5"),
        ({"drift_weight": -0.1}, "drift_weight: expected a value >= 0.0, got -0.1"),
        ({"drift_share": 0}, "drift_share: expected a value > 0.0, got 0"),
        ({"drift_share": 1.5}, "drift_share: expected a value <= 1.0, got 1.5"),
        (
            {"distance": "cosine"},
            "distance: expected 'mse_minmax', 'mse_standardised', 'dssim' or 'discordance', got 'cosine'",
        ),
        ({"surrogate": {"kind": "gradcm"}}, "surrogate: there is no kind 'gradcm'; did you mean 'gradcam'?"),
        ({"reference": "own"}, "reference: expected 'self', 'self_detached' or 'original', got 'own'"),
        ({"lambda": 0.5}, "lambda: unknown key"),
    ],
)
def test_a_wrong_value_is_answered_with_what_was_expected(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        attack("full_disguise", **fields)
    assert message in str(caught.value)


def test_a_share_of_clean_images_is_held_only_where_their_maps_are() -> None:
    (fault,) = attack("full_disguise", drift_share=0.25).check(INFO)
    assert str(fault) == "drift_share: expected 1 where drift_weight is 0 and no map is held, got 0.25"
    assert attack("full_disguise", drift_share=0.25, drift_weight=0.5).check(INFO) == []


def test_a_picture_that_would_be_taken_for_a_shape_is_refused() -> None:
    with pytest.raises(SpecError, match="expected a picture whose path is no shape's name, got 'square'"):
        attack("fooling", target_map="./square")
