"""Tasks are done once each, in order, whatever becomes of some of them; what is known stands in the run folders."""

import json
from pathlib import Path
from typing import Literal

import pytest
from tests.unit.benchmark.conftest import QUICK, Deed, Told, drive, finish, finish_with_page, keys, prepared

from falsewitness.benchmark import Prepared, Status, expect_feasible, survey
from falsewitness.benchmark._page_of_run import page_of
from falsewitness.benchmark._status import record_failure
from falsewitness.core import InputError, SpecError
from falsewitness.core.files import hold_if_free


def test_what_cells_share_is_one_task_and_comes_first(tiny: Prepared) -> None:
    roles = [task.role for task in tiny.agenda.tasks.values()]
    # Controls take as many steps as the attack, whose number of rows is the same at every rate that replaces images.
    assert sorted(roles) == ["attack"] * 4 + ["clean"] * 2 + ["control"] * 2
    places = {key: place for place, key in enumerate(tiny.agenda.tasks)}
    assert all(places[need] < places[key] for key, task in tiny.agenda.tasks.items() for need in task.needs)
    begun = drive(tiny).pool.begun
    order = {key: place for place, key in enumerate(begun)}
    assert sorted(begun) == sorted(tiny.agenda.tasks)
    assert all(order[need] < order[key] for key, task in tiny.agenda.tasks.items() for need in task.needs)


def test_no_more_tasks_run_than_there_are_workers(tiny: Prepared) -> None:
    assert drive(tiny, room=3).pool.most_at_once <= 3
    assert drive(tiny, room=1).pool.begun == []


def test_what_is_done_is_not_done_again(tiny: Prepared) -> None:
    for task in tiny.agenda.tasks.values():
        finish_with_page(task)
    driven = drive(tiny)
    assert driven.pool.begun == []
    assert set(driven.states()) == {"done"}


def test_of_what_is_done_a_page_that_is_missing_is_made(tiny: Prepared) -> None:
    for task in tiny.agenda.tasks.values():
        finish_with_page(task)
    key = keys(tiny, "attack")[1]
    page_of(tiny.agenda.tasks[key].folder).unlink()
    assert survey(tiny).counts == {"done": 4}
    driven = drive(tiny)
    assert driven.pool.begun == [key]
    assert set(driven.states()) == {"done"}


def test_a_failure_stops_only_what_stands_on_it_and_keeps_its_reason(tiny: Prepared) -> None:
    clean, other = keys(tiny, "clean")
    driven = drive(tiny, {clean: ["failed"]})
    states = {key: found.state for key, found in driven.statuses.items()}
    for key, task in tiny.agenda.tasks.items():
        stands_on_it = clean in task.needs
        assert states[key] == ("failed" if key == clean else "waiting" if stands_on_it else "done"), key
    found = survey(tiny)
    assert found.statuses[clean].reason == "the task failed"
    reasons = {view.reason for view in found.cells if view.state == "failed"}
    assert reasons == {"its clean model failed: the task failed"}
    assert found.counts == {"done": 2, "failed": 2}
    assert states[other] == "done"


def test_no_worker_is_started_for_what_stands_on_a_failure(tiny: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    drive(tiny, {key: ["failed"] for key in keys(tiny, "clean")})
    monkeypatch.setattr(Told, "open", lambda _: pytest.fail("there is nothing to do"))
    assert drive(tiny).states().count("failed") == 2


@pytest.mark.parametrize("deed", ["failed", "diverged", "raised"])
def test_a_failed_task_is_tried_again_only_when_asked(tiny: Prepared, deed: str) -> None:
    key = keys(tiny, "attack")[0]
    assert drive(tiny, {key: [deed]}).pool.begun.count(key) == 1  # type: ignore[list-item]
    again = drive(tiny)
    assert again.pool.begun == []
    assert again.statuses[key].state == ("diverged" if deed == "diverged" else "failed")
    asked = drive(tiny, retry_failed=True)
    assert asked.pool.begun == [key]
    assert set(asked.states()) == {"done"}


@pytest.mark.parametrize("deed", ["lost", "timed out"])
def test_a_worker_that_dies_or_hangs_costs_a_try(tiny: Prepared, deed: str) -> None:
    key = keys(tiny, "attack")[0]
    driven = drive(tiny, {key: [deed]})  # type: ignore[list-item]
    assert driven.pool.begun.count(key) == 2
    assert set(driven.states()) == {"done"}
    assert driven.heard.notices == [f"{key}: the worker: {deed}; tried again"]


def test_after_its_last_try_it_has_failed(tiny: Prepared) -> None:
    key = keys(tiny, "attack")[0]
    driven = drive(tiny, {key: ["lost", "lost", "lost"]}, retries=2)
    assert driven.pool.begun.count(key) == 3
    assert (driven.statuses[key].state, driven.statuses[key].reason) == ("failed", "the worker: lost")


def test_a_task_that_says_it_is_done_and_left_nothing_has_failed(tiny: Prepared) -> None:
    key = keys(tiny, "attack")[0]
    driven = drive(tiny, {key: ["done, it says"]})
    assert driven.statuses[key].state == "failed"
    assert driven.pool.begun.count(key) == 1


def test_what_another_driver_does_is_waited_for_and_not_done_twice(
    tiny: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = keys(tiny, "attack")[-1]
    claims = tiny.out / ".claims"
    claims.mkdir(parents=True)
    held = hold_if_free(claims / f"{key}.lock")
    assert held is not None
    slept = []

    def other_driver_ends(seconds: float) -> None:
        slept.append(seconds)
        finish_with_page(tiny.agenda.tasks[key])
        held.close()

    monkeypatch.setattr("falsewitness.benchmark._driver.time.sleep", other_driver_ends)
    driven = drive(tiny)
    assert slept
    assert key not in driven.pool.begun
    assert set(driven.states()) == {"done"}


def test_what_becomes_ready_by_the_end_of_anothers_work_is_done_too(tiny: Prepared) -> None:
    clean = keys(tiny, "clean")

    def another_driver_ends() -> None:
        for key in clean:
            finish_with_page(tiny.agenda.tasks[key])

    driven = drive(tiny, meanwhile=another_driver_ends)
    assert sorted(driven.pool.begun) == sorted(set(tiny.agenda.tasks) - set(clean))
    assert set(driven.states()) == {"done"}


def test_what_has_failed_in_anothers_hands_is_not_tried_again(tiny: Prepared) -> None:
    clean, other = keys(tiny, "clean")
    task = tiny.agenda.tasks[clean]

    def another_driver_fails() -> None:
        task.folder.path.mkdir(parents=True)
        record_failure(task, Status("failed", "it was so"), 0.0)

    driven = drive(tiny, meanwhile=another_driver_fails)
    assert clean not in driven.pool.begun
    assert driven.statuses[clean] == Status("failed", "it was so")
    assert driven.statuses[other].state == "done"


def test_a_result_that_was_changed_is_told_and_made_again_when_asked(tiny: Prepared) -> None:
    drive(tiny)
    key = keys(tiny, "attack")[0]
    result = tiny.agenda.tasks[key].folder.result
    result.write_text(result.read_text(encoding="utf-8").replace("0.9", "0.99"), encoding="utf-8")
    seen = drive(tiny)
    assert seen.pool.begun == []
    assert seen.statuses[key].state == "failed"
    assert "was changed since the run wrote it" in seen.statuses[key].reason
    assert drive(tiny, retry_failed=True).pool.begun == [key]


@pytest.mark.parametrize("lost", [True, False])
def test_numbers_of_images_that_are_lost_or_were_changed_are_made_again_when_asked(tiny: Prepared, lost: bool) -> None:
    for task in tiny.agenda.tasks.values():
        finish_with_page(task)
    key = keys(tiny, "attack")[1]
    values = tiny.agenda.tasks[key].folder.values
    if lost:
        values.unlink()
    else:
        values.write_bytes(b"changed")
    found = survey(tiny)
    assert found.statuses[key].state == ("failed" if lost else "done")
    assert drive(tiny).pool.begun == []
    assert drive(tiny, retry_failed=True).pool.begun == [key]


@pytest.mark.parametrize(("stage", "name"), [("train", "model.safetensors"), ("evaluate", "maps.npz")])
def test_a_finished_cell_whose_file_was_changed_is_made_anew_when_asked(
    tiny: Prepared, stage: Literal["train", "evaluate"], name: str
) -> None:
    for task in tiny.agenda.tasks.values():
        finish_with_page(task)
    key = keys(tiny, "attack")[1]
    task = tiny.agenda.tasks[key]
    file = task.folder.path / name
    file.write_bytes(b"as it was left")
    left = [file] if stage == "train" else [file, task.folder.result, task.folder.values]
    task.folder.marker(stage).write(task.train_digest if stage == "train" else task.eval_digest, left)
    file.write_bytes(b"changed")
    assert drive(tiny).pool.begun == []
    assert drive(tiny, retry_failed=True).pool.begun == [key]


def test_a_file_in_place_of_a_run_folder_fails_its_cell_alone(tiny: Prepared) -> None:
    first = keys(tiny, "attack")[0]
    tiny.out.mkdir()
    (tiny.out / first).write_text("in the way", encoding="utf-8")
    driven = drive(tiny, {first: ["failed"]})
    assert [key for key, found in driven.statuses.items() if found.state != "done"] == [first]
    assert (tiny.out / first).read_text(encoding="utf-8") == "in the way"


def test_what_stands_on_damaged_weights_is_tried_again_with_them(tiny: Prepared) -> None:
    drive(tiny)
    clean, attack = keys(tiny, "clean")[0], keys(tiny, "attack")[0]
    folder = tiny.agenda.tasks[clean].folder
    folder.model.write_bytes(b"weights")
    folder.marker("train").write(tiny.agenda.tasks[clean].train_digest, [folder.model])
    folder.model.write_bytes(b"damaged")
    tiny.agenda.tasks[attack].folder.marker("evaluate").remove()
    assert drive(tiny, {attack: ["failed"]}).pool.begun == [attack]
    assert drive(tiny, retry_failed=True).pool.begun == [clean, attack]
    assert folder.marker("train").files() == (), "what was damaged is no longer vouched for"


def test_a_model_that_nothing_vouches_for_is_made_anew_where_others_are_to_stand_on_it(tiny: Prepared) -> None:
    drive(tiny)
    clean, attack = keys(tiny, "clean")[0], keys(tiny, "attack")[0]
    tiny.agenda.tasks[clean].folder.marker("train").remove()
    assert drive(tiny).pool.begun == [], "nothing stands on it any more"
    tiny.agenda.tasks[attack].folder.marker("evaluate").remove()
    driven = drive(tiny)
    assert driven.pool.begun == [clean, attack]
    assert set(driven.states()) == {"done"}


@pytest.mark.parametrize("damage", ["marker", "weights"])
def test_damaged_models_are_not_sent_to_other_machines(
    tiny: Prepared, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(Told, "shares_disk", False)
    drive(tiny)
    clean, attacks = keys(tiny, "clean")[0], keys(tiny, "attack")
    folder = tiny.agenda.tasks[clean].folder
    folder.model.write_bytes(b"weights")
    folder.marker("train").write(tiny.agenda.tasks[clean].train_digest, [folder.model])
    file = folder.marker("train").path if damage == "marker" else folder.model
    file.write_bytes(b"damaged")
    for attack in attacks:
        tiny.agenda.tasks[attack].folder.marker("evaluate").remove()
    driven = drive(tiny)
    on_it = [attack for attack in attacks if clean in tiny.agenda.tasks[attack].needs]
    assert sorted(driven.pool.begun) == sorted(set(attacks) - set(on_it))
    told = {key: found.reason for key, found in driven.statuses.items() if found.state == "failed"}
    assert sorted(told) == sorted(on_it)
    assert all(reason.startswith(f"'{file}' ") for reason in told.values())


def test_a_damaged_result_below_finished_cells_is_told(tiny: Prepared) -> None:
    drive(tiny)
    clean = keys(tiny, "clean")[0]
    result = tiny.agenda.tasks[clean].folder.result
    result.write_text(result.read_text(encoding="utf-8")[:100], encoding="utf-8")
    found = survey(tiny)
    assert found.counts == {"done": 4}
    assert found.has_failures
    assert {key: status.state for key, status in found.failed_below.items()} == {clean: "failed"}


def test_a_failure_of_another_experiment_in_the_same_folder_is_not_its_own(tiny: Prepared) -> None:
    key = keys(tiny, "attack")[0]
    drive(tiny, {key: ["failed"]})
    record = tiny.agenda.tasks[key].folder.path / "failure.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"eval_digest": "other"}), encoding="utf-8")
    assert drive(tiny).pool.begun == [key]


def test_a_budget_of_hours_ends_the_work_and_says_so(tmp_path: Path) -> None:
    benchmark = prepared(tmp_path / "runs", budget={"hours": 0.04})  # 144 s; a task takes 36 s
    driven = drive(benchmark, hours=0.04, room=1)
    assert len(driven.pool.begun) == 4
    assert drive(benchmark, hours=0.04).pool.begun == []
    reasons = {view.reason for view in survey(benchmark).cells if view.state == "skipped"}
    assert reasons == {"the budget of 0.04 h is spent"}


@pytest.mark.parametrize("deed", ["failed", "diverged", "raised"])
def test_a_budget_of_hours_counts_what_failed_too(tmp_path: Path, deed: Deed) -> None:
    benchmark = prepared(tmp_path / "runs", budget={"hours": 1 / 3600})  # one second, as a failure takes
    first = next(iter(benchmark.agenda.tasks))
    assert drive(benchmark, {first: [deed]}, hours=1 / 3600, room=1).pool.begun == [first]
    assert drive(benchmark, hours=1 / 3600).pool.begun == []
    assert {view.state for view in survey(benchmark).cells} <= {"skipped", "failed", "diverged"}


def test_a_budget_of_hours_counts_every_try(tmp_path: Path) -> None:
    benchmark = prepared(tmp_path / "runs", budget={"hours": 1.5 / 3600})
    first = next(iter(benchmark.agenda.tasks))
    assert drive(benchmark, {first: ["timed out", "lost"]}, hours=1.5 / 3600, room=1).pool.begun == [first, first]
    assert drive(benchmark, hours=1.5 / 3600).pool.begun == []


def test_a_budget_of_hours_counts_what_another_driver_did_meanwhile(tmp_path: Path) -> None:
    benchmark = prepared(tmp_path / "runs")
    first = next(iter(benchmark.agenda.tasks.values()))
    driven = drive(benchmark, hours=0.01, meanwhile=lambda: finish_with_page(first))  # 36 s, as it took
    assert driven.pool.begun == []


def test_a_further_auditor_measures_anew_and_trains_nothing(tmp_path: Path) -> None:
    before = prepared(tmp_path / "runs")
    further = {**QUICK, "auditors": [{"kind": "gradcam"}, {"kind": "gradient"}, {"kind": "gradcam", "layer": "stage2"}]}
    after = prepared(tmp_path / "runs", common=further)
    assert list(after.agenda.tasks) == list(before.agenda.tasks)
    drive(before)
    again = drive(after).pool.begun
    assert sorted(again) == sorted(keys(before, "attack"))


def test_one_model_that_would_count_as_several_seeds_is_refused(tmp_path: Path) -> None:
    axes = {"split": {"a": {"seed": 0}, "b": {"seed": 0}}}
    with pytest.raises(InputError, match=r"\(split a\) and \(split b\) are the same model"):
        prepared(tmp_path, axes=axes)


def test_two_ways_to_measure_one_model_are_refused(tmp_path: Path) -> None:
    axes = {"auditors": {"one": [{"kind": "gradcam"}], "other": [{"kind": "gradient"}]}}
    with pytest.raises(InputError, match="train the same model and measure it in two ways"):
        prepared(tmp_path, axes=axes)


def test_a_baseline_measured_in_another_way_than_the_clean_model_of_an_attack_is_refused(tmp_path: Path) -> None:
    without: dict[str, object] = {"attack": None, "attack_training": None}
    cells: dict[str, object] = {"attack": {"seed": 0}, "baseline": {**without, "metrics": []}}
    with pytest.raises(InputError, match=r"\(cell \w+\) and \(cell \w+\) train the same model and measure it in two"):
        prepared(tmp_path, axes={"cell": cells})
    measured_alike = {"attack": {"seed": 0}, "baseline": without}
    assert len(prepared(tmp_path, axes={"cell": measured_alike}).agenda.of_cells) == 2


def test_a_layer_that_a_network_lacks_is_told_with_a_cell_that_has_it(tmp_path: Path) -> None:
    auditors = [{"kind": "gradcam"}, {"kind": "gradcam", "layer": "nowhere"}]
    with pytest.raises(SpecError, match=r"\[1\]: .* no layer 'nowhere'.* \(in the cell .*seed 0, and in \d+ more\)"):
        expect_feasible(prepared(tmp_path, common={**QUICK, "auditors": auditors}))


def test_a_poison_rate_beyond_the_images_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    common = {**QUICK, "auditors": [{"kind": "gradcam", "layer": "nowhere"}]}
    with pytest.raises(SpecError) as caught:
        expect_feasible(prepared(tmp_path, common=common, axes={"attack.poison.rate": [0.1, 0.95, 0.99]}))
    told = [str(fault) for fault in caught.value.faults]
    assert [fault.partition(":")[0] for fault in told] == ["auditors[0]", "attack.poison.rate", "attack.poison.rate"]
    assert "got 0.95; lower the rate" in told[1]
    assert "(in the cell attack.poison.rate 0.1" in told[0]
    assert told[0].endswith(", and in 2 more)")
    assert "(in the cell attack.poison.rate 0.99" in told[2]


def test_explainers_that_fit_are_passed(tiny: Prepared) -> None:
    expect_feasible(tiny)


def test_the_time_left_is_told_by_the_most_similar_models(tiny: Prepared) -> None:
    assert set(survey(tiny).expected().values()) == {None}
    finish(tiny.agenda.tasks[keys(tiny, "attack")[0]], seconds=50.0)
    finish(tiny.agenda.tasks[keys(tiny, "clean")[0]], seconds=10.0)
    expected = survey(tiny).expected()
    assert {expected[key] for key in keys(tiny, "attack")[1:]} == {50.0}
    assert expected[keys(tiny, "clean")[1]] == 10.0
    assert {expected[key] for key in keys(tiny, "control")} == {30.0}
