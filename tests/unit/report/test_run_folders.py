import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from falsewitness.core.errors import InputError
from falsewitness.report import read_run

MakeRun = Callable[..., Path]


def test_reads_what_a_run_has_written(make_run: MakeRun) -> None:
    run = read_run(make_run())

    assert run.done
    assert run.result.name == "toy/attack"
    assert run.result.attack is not None
    assert run.result.attack.target_class == "dog"
    assert run.result.data is not None
    assert run.result.data.class_names == ("cat", "dog", "<b>ship</b>")
    assert [step.step for step in run.steps] == [0, 1, 2, 3, 4, 5]
    assert run.steps[1].terms == {"cross_entropy": 1.0, "explanation": 0.5}
    assert run.environment["machine"] == {"threads": 3}
    assert run.spec.startswith("seed: 5")
    assert run.gallery is not None
    assert run.gallery.auditors == ("gradcam",)
    assert run.gallery.rows("failure") == (4, 5)


def test_a_validation_stands_at_the_last_step_of_its_epoch(make_run: MakeRun) -> None:
    run = read_run(make_run())

    assert [(v.step, v.values["accuracy"], v.values["attack_success_rate"]) for v in run.validations] == [
        (2, 0.5, None),
        (5, 0.6, None),
    ]


def test_finds_a_measurement_over_all_samples_and_not_over_successes(make_run: MakeRun) -> None:
    result = read_run(make_run()).result

    found = result.find("disguise", "pearson", "gradcam")
    assert found is not None
    assert found.value == 0.91
    assert result.find("disguise", "pearson") is None
    assert result.find("disguise", "pearson", "gradient") is None


def test_the_main_auditor_is_the_surrogate_else_the_first(
    make_run: MakeRun, toy_result: Callable[[str], dict[str, Any]]
) -> None:
    plain = toy_result("attack")
    plain["measurements"] = [m | {"auditor": name} for m in plain["measurements"] for name in ("first", "gradcam")]
    assert read_run(make_run("a", changes=plain)).result.main_auditor == "gradcam"

    plain["attack"]["surrogate_auditor"] = None  # a Grad-CAM, but at another layer
    assert read_run(make_run("b", changes=plain)).result.main_auditor == "first"
    assert read_run(make_run("c", role="clean")).result.main_auditor is None


def test_a_clean_run_needs_no_gallery_and_may_have_one(make_run: MakeRun, toy_gallery: Callable[[], Any]) -> None:
    folder = make_run("clean", role="clean")
    assert read_run(folder).gallery is None

    whole = toy_gallery()
    untriggered = {name: array for name, array in whole.items() if "triggered" not in name and name != "mask"}
    np.savez(folder / "gallery.npz", **untriggered)
    found = read_run(folder).gallery
    assert found is not None
    assert found.triggered is None
    assert found.mask is None


def test_a_newer_run_may_say_more_than_is_known(make_run: MakeRun) -> None:
    assert read_run(make_run(changes={"mood": "sunny"})).result.name == "toy/attack"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "null"])
def test_a_loss_that_is_no_finite_number_is_kept_as_such(make_run: MakeRun, value: str) -> None:
    line = f'{{"epoch": 0, "step": 0, "loss": {value}, "terms": {{"cross_entropy": {value}}}}}'
    run = read_run(make_run(files={"steps.jsonl": line}))

    assert not math.isfinite(run.steps[0].loss)
    assert not math.isfinite(run.steps[0].terms["cross_entropy"])


@pytest.mark.parametrize("name", ["result.json", "steps.jsonl", "env.json", "spec.yaml", "gallery.npz"])
def test_a_missing_file_of_a_finished_attack_is_named_with_what_to_do(make_run: MakeRun, name: str) -> None:
    folder = make_run(files={name: None})

    with pytest.raises(InputError, match=r"is missing: .*make it again") as error:
        read_run(folder)
    assert str(folder / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["result.json", "steps.jsonl", "env.json", "gallery.npz"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"[1, 2]", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_named_with_what_to_do(make_run: MakeRun, name: str, content: bytes) -> None:
    folder = make_run(files={name: content})

    with pytest.raises(InputError, match="make the run again") as error:
        read_run(folder)
    assert str(folder / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["result.json", "steps.jsonl", "env.json", "spec.yaml"])
def test_a_file_that_was_changed_since_the_run_is_named_with_what_to_do(make_run: MakeRun, name: str) -> None:
    folder = make_run()
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")

    with pytest.raises(InputError, match=r"was changed since the run wrote it; restore it, or remove") as error:
        read_run(folder)
    assert str(folder / name) in str(error.value)


def test_a_finished_run_that_nothing_vouches_for_is_refused(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / ".evaluate-done.json").unlink()

    with pytest.raises(InputError, match=r"\.evaluate-done\.json is missing: the run is not complete; make it again"):
        read_run(folder)


def test_an_archive_cut_short_is_named(make_run: MakeRun) -> None:
    folder = make_run()
    whole = (folder / "gallery.npz").read_bytes()
    for length in range(0, len(whole) - 1, 997):
        (folder / "gallery.npz").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"gallery\.npz"):
            read_run(folder)


def test_pickled_objects_are_refused(make_run: MakeRun) -> None:
    folder = make_run()
    np.savez(folder / "gallery.npz", images=np.array([{"a": 1}], dtype=object))

    with pytest.raises(InputError, match=r"gallery\.npz"):
        read_run(folder)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused(make_run: MakeRun, version: object) -> None:
    folder = make_run(changes={"schema_version": version})

    with pytest.raises(InputError, match=r"schema version .* expected 1"):
        read_run(folder)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"status": "fine"}, "status"),
        ({"seed": "many"}, "seed"),
        (
            {"measurements": [{"metric": "m", "name": "n", "value": "high", "n": 1}]},
            r"measurements\[0\]\.value",
        ),
        ({"data": None}, "data"),
        ({"data": {"kind": "toy"}}, r"data\.fingerprint"),
    ],
)
def test_a_damaged_entry_is_named_by_its_path(make_run: MakeRun, changes: dict[str, Any], where: str) -> None:
    folder = make_run(changes=changes)

    with pytest.raises(InputError, match=f"is damaged at {where}"):
        read_run(folder)


def test_a_damaged_step_is_named_by_its_line(make_run: MakeRun) -> None:
    lines = '{"epoch": 0, "step": 0, "loss": 1.0}\n{"epoch": 0, "step": 1, "loss": "low"}\n'

    with pytest.raises(InputError, match="in line 2 at loss"):
        read_run(make_run(files={"steps.jsonl": lines}))


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        (
            {"images": np.zeros((6, 3, 8, 9), np.uint8)},
            r"'images' of shape \(6, 3, 8, 9\), expected \(6, 3, 8, 8\)",
        ),
        ({"images": np.zeros((6, 3, 8, 8))}, "'images' of type float64"),
        ({"labels": np.array([0, 1, 2, 3, 0, 0])}, "classes from 0 to 3 in 'labels', expected 0 to 2"),
        ({"predicted/attacked/triggered": np.array([0, 1, 2, -1, 0, 0])}, "classes from -1 to 2"),
        ({"group": np.array(["shared"] * 5 + ["other"])}, r"\['other'\] in 'group'"),
        ({"mask": np.zeros((4, 4), bool)}, "'mask' of shape"),
        ({"mask": None}, "no array 'mask'"),
        ({"triggered": None}, "no array 'triggered'"),
        ({"confidence/clean/clean": None}, "no array 'confidence/clean/clean'"),
        ({"maps/gradcam/clean/clean": np.zeros((5, 4, 4))}, "'maps/gradcam/clean/clean' of shape"),
    ],
)
def test_pictures_that_do_not_belong_together_are_refused(
    make_run: MakeRun, arrays: dict[str, Any], problem: str
) -> None:
    folder = make_run(arrays=arrays)

    with pytest.raises(InputError, match=problem):
        read_run(folder)


def test_an_auditors_label_may_hold_a_slash(make_run: MakeRun, toy_gallery: Callable[..., Any]) -> None:
    run = read_run(make_run(arrays=toy_gallery(["my/own cam"])))

    assert run.gallery is not None
    assert "my/own cam" in run.gallery.auditors


def test_negative_values_no_larger_than_rounding_make_no_signed_map(make_run: MakeRun) -> None:
    maps = np.ones((6, 4, 4), np.float32)
    maps[0, 0, 0] = -1e-7
    rounded = read_run(make_run("a", arrays={"maps/gradcam/clean/clean": maps})).gallery
    maps[0, 0, 0] = -0.1
    signed = read_run(make_run("b", arrays={"maps/gradcam/clean/clean": maps})).gallery

    assert rounded is not None
    assert signed is not None
    assert (rounded.signed("gradcam"), signed.signed("gradcam")) == (False, True)


@pytest.mark.parametrize("status", ["diverged", "failed", "skipped"])
def test_a_run_that_is_not_done_needs_nothing_but_its_result(make_run: MakeRun, status: str) -> None:
    nothing = dict.fromkeys(["steps.jsonl", "env.json", "spec.yaml", "gallery.npz"])
    changes: dict[str, Any] = {
        "status": status,
        "reason": "the learning rate",
        "measurements": [],
        "data": None,
        "cost": {},
    }
    run = read_run(make_run(changes=changes, files=nothing))

    assert not run.done
    assert (run.result.status, run.result.reason) == (status, "the learning rate")
    assert (run.steps, run.gallery, run.spec) == ((), None, "")


def test_a_run_that_was_stopped_may_end_within_a_line(make_run: MakeRun) -> None:
    lines = json.dumps({"epoch": 0, "step": 0, "loss": 1.0}) + '\n{"epoch": 0, "st'

    stopped = read_run(make_run("a", changes={"status": "failed"}, files={"steps.jsonl": lines}))
    assert len(stopped.steps) == 1
    with pytest.raises(InputError, match="line 2"):
        read_run(make_run("b", files={"steps.jsonl": lines}))
