"""The board of a benchmark: figures over seeds, each setting beside the best, and what came to no figures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from tests.unit.benchmark.conftest import QUICK, Measured, finish, finish_with_page, keys, prepared

from falsewitness.benchmark import Prepared, Task, survey
from falsewitness.benchmark._board import board
from falsewitness.benchmark._page_of_run import page_of
from falsewitness.benchmark._statistics import holm, paired_bootstrap, paired_seeds
from falsewitness.benchmark._status import Status, record_failure
from falsewitness.report import Setting, Spread

ACCURACY, GAP, AUROC = "clean_accuracy.accuracy", "clean_accuracy.gap_to_control", "map_detectability.auroc"


def settings_of(benchmark: Prepared) -> tuple[Setting, ...]:
    return board(survey(benchmark), benchmark.folder).settings


def column(benchmark: Prepared, title: str) -> list[Spread]:
    """The figures of a column, from the first setting to the last."""
    return [setting.figures[title] for setting in settings_of(benchmark)]


def standings(benchmark: Prepared, title: str) -> list[str]:
    return [figure.standing for figure in column(benchmark, title)]


def attacks(benchmark: Prepared) -> Mapping[tuple[str, int], Task]:
    """The attacks by the first label of their setting and by seed."""
    cells = benchmark.matrix.cells
    of_cells = benchmark.agenda.of_cells.items()
    return {(cells[place].labels[0], cells[place].spec.seed): benchmark.agenda.tasks[key] for place, key in of_cells}


def rates(out: Path, *values: float, seeds: int = 2) -> Prepared:
    """A benchmark of poison rates."""
    return prepared(out / "runs", axes={"attack.poison.rate": list(values), "seed": list(range(seeds))})


def right(share: float, images: int, *seed: int) -> NDArray[np.float32]:
    """Right and wrong answers."""
    return (np.random.default_rng(seed).random(images) < share).astype(np.float32)


def test_a_figure_is_the_mean_over_seeds_with_its_deviation_and_interval(tiny: Prepared) -> None:
    for (rate, seed), task in attacks(tiny).items():
        finish(task, accuracy={"0.1": 0.9, "0.2": 0.7}[rate] - 0.01 * seed, seconds=10 + seed)
    first, second = column(tiny, "Clean accuracy")
    assert (first.mean, second.mean) == pytest.approx((0.895, 0.695))
    assert (first.n, first.images) == (2, 20)
    assert first.deviation == pytest.approx(0.01 / np.sqrt(2))
    reach = stats.t.ppf(0.975, 1) * 0.005
    assert (first.low, first.high) == pytest.approx((0.895 - reach, 0.895 + reach))
    time = column(tiny, "Training time")[0]
    assert (time.mean, time.images, time.standing) == (10.5, None, "")


def test_an_undefined_figure_is_not_made_up_for_by_another_quantity(tiny: Prepared) -> None:
    to_shape = {0: 0.01, 1: None}
    for (_, seed), task in attacks(tiny).items():
        shape = Measured("target_map_distance.standardised_mse", to_shape[seed], auditor="gradcam")
        original = Measured("disguise.standardised_mse", 1.9, auditor="gradcam")
        finish(task, measured=[shape, original])
    figure = column(tiny, "Map distance")[0]
    assert (figure.mean, figure.n, figure.note) == (0.01, 1, "to the forced shape")


def test_an_interval_over_seeds_ends_where_no_value_can_be(tiny: Prepared) -> None:
    for (_, seed), task in attacks(tiny).items():
        finish(task, accuracy=0.9 - 0.1 * seed)
    figure = column(tiny, "Clean accuracy")[0]
    assert figure.low == pytest.approx(0.85 - stats.t.ppf(0.975, 1) * 0.05)
    assert figure.high == 1


def test_a_single_seed_keeps_the_interval_of_its_run(tiny: Prepared) -> None:
    finish(attacks(tiny)["0.1", 1], measured=[Measured(ACCURACY, 0.9, low=0.6, high=0.98)])
    figure = settings_of(tiny)[0].figures["Clean accuracy"]
    assert (figure.mean, figure.deviation, figure.n, figure.low, figure.high) == (0.9, None, 1, 0.6, 0.98)


def test_settings_are_told_from_the_best_over_seeds_and_images_with_holms_correction(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, 0.3, seeds=5)
    shares = {"0.1": 0.5, "0.2": 0.93, "0.3": 0.9}
    answers = {place: right(shares[place[0]], 200, int(10 * float(place[0])), place[1]) for place in attacks(benchmark)}
    for place, task in attacks(benchmark).items():
        finish(task, measured=[Measured(ACCURACY, answers[place])])
    assert standings(benchmark, "Clean accuracy") == ["worse", "best", "not distinguishable"]
    of_rate = {rate: [answers[rate, seed].astype(float) for seed in range(5)] for rate in shares}
    images = [np.arange(200)] * 5
    behind = [paired_bootstrap(of_rate["0.2"], of_rate[rate], images, seed=0) for rate in ("0.3", "0.1")]
    raw = [comparison.p_value for comparison in behind if comparison is not None]
    worse, best, like = column(benchmark, "Clean accuracy")
    assert [like.p_value, worse.p_value] == pytest.approx(holm(raw))
    assert worse.effect is not None
    assert worse.effect == pytest.approx(behind[1] and behind[1].effect)
    assert worse.effect > 0
    assert (best.p_value, best.effect) == (None, None)


def test_of_single_seeds_it_is_told_over_images_alone(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, seeds=1)
    for (rate, _), task in attacks(benchmark).items():
        finish(task, measured=[Measured(ACCURACY, right(9 * float(rate) - 0.9, 300, 1))])
    assert standings(benchmark, "Clean accuracy") == ["worse", "best"]


def test_the_same_images_are_paired_wherever_they_stand(tmp_path: Path) -> None:
    """Two target classes: of the same test images, other ones are map samples, as many."""
    benchmark = rates(tmp_path, 0.1, 0.2, seeds=1)
    of_image = np.random.default_rng(0).normal(size=100)
    of_image[[*range(5), *range(60, 65)]] = 0  # those that only one setting has
    images, places = np.arange(1_000, 1_100), {"0.1": np.arange(60), "0.2": np.arange(5, 65)}
    for (rate, _), task in attacks(benchmark).items():
        jitter = np.random.default_rng(1).normal(0, 0.01, size=60)
        pearson = of_image[places[rate]] + jitter + (0.05 if rate == "0.2" else 0)
        everywhere = Measured(ACCURACY, np.ones(100))
        maps = Measured("disguise.pearson", pearson, "gradcam")
        finish(task, measured=[everywhere, maps], images=images, samples=places[rate])
    worse, best = column(benchmark, "Pearson to original")
    assert (worse.standing, best.standing) == ("worse", "best")
    # By image every difference is 0.05 with a deviation of 0.014; by place the deviation is 1.4.
    assert worse.p_value is not None
    assert worse.p_value < 1e-9


def test_what_is_wanted_near_a_value_is_compared_by_its_distance(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, 0.3, seeds=3)
    means = {"0.1": 0.1, "0.2": -0.1001, "0.3": -0.3}
    for (rate, seed), task in attacks(benchmark).items():
        noise = np.random.default_rng([seed, int(10 * float(rate))]).normal(0, 0.01, size=100)
        finish(task, measured=[Measured(GAP, means[rate] + noise - noise.mean() + 1e-5 * seed)])
    assert standings(benchmark, "Gap to control") == ["best", "not distinguishable", "worse"]


def test_an_area_under_a_curve_is_compared_over_seeds_alone(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, seeds=3)
    areas = {"0.1": [0.5, 0.52, 0.51], "0.2": [0.9, 0.93, 0.91]}
    for (rate, seed), task in attacks(benchmark).items():
        finish(task, measured=[Measured(AUROC, areas[rate][seed], "gradcam")])
    best, worse = column(benchmark, "Detector AUROC")
    expected = paired_seeds(areas["0.2"], areas["0.1"])
    assert expected is not None
    assert (best.standing, worse.standing) == ("best", "worse")
    assert (worse.p_value, worse.effect) == pytest.approx((expected.p_value, expected.effect))


def test_a_single_area_is_compared_with_none(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, seeds=1)
    for (rate, _), task in attacks(benchmark).items():
        finish(task, measured=[Measured(AUROC, 0.5 + float(rate), "gradcam")])
    assert standings(benchmark, "Detector AUROC") == ["best", ""]


@pytest.mark.parametrize("apart", ["seeds", "images"])
def test_settings_with_nothing_in_common_are_not_called_alike(tiny: Prepared, apart: str) -> None:
    for place, ((rate, seed), task) in enumerate(attacks(tiny).items()):
        if apart == "images" or (seed == 0) == (rate == "0.1"):
            images = np.arange(50) + 50 * place if apart == "images" else None
            finish(task, measured=[Measured(ACCURACY, right(0.6 + float(rate), 50, seed))], images=images)
    worse, best = column(tiny, "Clean accuracy")
    assert (best.standing, worse.standing, worse.p_value) == ("best", "", None)
    assert any("has no seed or no test image in common" in note for note in board(survey(tiny), tiny.folder).notes)


def test_numbers_that_were_changed_are_not_compared_and_the_figures_stay(tiny: Prepared) -> None:
    for (rate, seed), task in attacks(tiny).items():
        finish(task, measured=[Measured(ACCURACY, right(float(rate) + 0.7, 50, seed))])
    values = attacks(tiny)["0.1", 1].folder.values
    values.write_bytes(values.read_bytes()[:-1] + b"x")
    worse, best = column(tiny, "Clean accuracy")
    assert (best.standing, worse.standing, worse.p_value, worse.n) == ("best", "", None, 2)
    folder = values.parent.name
    assert worse.not_compared == f"not compared: '{folder}/values.npz' is damaged; --retry-failed makes it anew"


def test_numbers_of_a_run_that_was_measured_anew_are_read_anew(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, seeds=1)
    for (rate, _), task in attacks(benchmark).items():
        finish(task, measured=[Measured(ACCURACY, right(float(rate) + 0.7, 50, 1))])
    before = column(benchmark, "Clean accuracy")[0].p_value
    other = prepared(
        tmp_path / "runs",
        axes={"attack.poison.rate": [0.1, 0.2], "seed": [0]},
        common={**QUICK, "auditors": [{"kind": "gradcam"}]},
    )
    assert [task.folder for task in attacks(other).values()] == [task.folder for task in attacks(benchmark).values()]
    for (rate, _), task in attacks(other).items():
        finish(task, measured=[Measured(ACCURACY, right(4 * float(rate), 50, 2))])
    assert column(other, "Clean accuracy")[0].p_value != before


def test_what_leads_over_all_its_seeds_and_is_behind_over_the_common_ones_makes_nobody_worse(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, seeds=2)
    shares = {("0.1", 0): 0.3, ("0.1", 1): 1.0, ("0.2", 0): 0.6}
    for place, share in shares.items():
        finish(attacks(benchmark)[place], measured=[Measured(ACCURACY, right(share, 400, 7))])
    best, other = column(benchmark, "Clean accuracy")
    assert (best.standing, other.standing) == ("best", "")
    assert other.p_value is not None
    assert other.p_value < 0.05


@pytest.mark.parametrize(
    ("one", "other", "title"),
    [
        ("attack_success_rate.attack_success_rate", "robust_accuracy.robust_accuracy", "Attack success"),
        ("target_map_distance.standardised_mse", "disguise.standardised_mse", "Map distance"),
    ],
)
def test_figures_of_another_kind_in_the_same_column_are_not_compared(
    tmp_path: Path, one: str, other: str, title: str
) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, 0.3, seeds=2)
    auditor = "gradcam" if title == "Map distance" else None
    for (rate, seed), task in attacks(benchmark).items():
        metric, share = (one, 0.2) if rate == "0.1" else (other, float(rate))
        finish(task, measured=[Measured(metric, right(share, 50, seed), auditor)])
    alone, *pair = column(benchmark, title)
    assert alone.standing == ""
    assert sorted(figure.standing for figure in pair) == ["best", "not distinguishable"]
    assert alone.note != pair[0].note


def test_each_data_set_has_its_own_best(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, 0.3, seeds=2)
    for (rate, seed), task in attacks(benchmark).items():
        answers = Measured(ACCURACY, right(float(rate) + 0.5, 50, seed))
        finish(task, measured=[answers], data="other" if rate == "0.1" else "f")
    assert standings(benchmark, "Clean accuracy") == ["", "not distinguishable", "best"]


def test_a_setting_stands_once_for_each_auditor_and_maps_are_compared_before_the_same(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, seeds=2)
    for (rate, seed), task in attacks(benchmark).items():
        lift = {"gradcam": float(rate), "gradient": 3 - float(rate)}
        maps = [Measured("trigger_attention.trigger_lift", np.full(20, x + seed / 9), a) for a, x in lift.items()]
        finish(task, measured=[Measured(ACCURACY, 0.9), *maps], surrogate="gradient")
    rows = [
        (setting.labels, setting.auditor, setting.trained_against, setting.figures["Trigger lift"].standing)
        for setting in settings_of(benchmark)
    ]
    assert rows == [
        (("0.1",), "gradcam", False, "best"),
        (("0.1",), "gradient", True, "worse"),
        (("0.2",), "gradcam", False, "worse"),
        (("0.2",), "gradient", True, "best"),
    ]
    assert {setting.threat_model for setting in settings_of(benchmark)} == {"controls data only"}
    assert {setting.figures["Clean accuracy"].mean for setting in settings_of(benchmark)} == {0.9}


def test_cells_without_figures_stay_with_the_reason(tmp_path: Path) -> None:
    benchmark = rates(tmp_path, 0.1, 0.2, 0.3)
    task = attacks(benchmark)
    finish(task["0.1", 0])
    record_failure(task["0.1", 1], Status("diverged", "the loss is not finite"), 0.0)
    record_failure(task["0.2", 0], Status("failed", "no memory"), 0.0)
    record_failure(benchmark.agenda.tasks[keys(benchmark, "clean")[1]], Status("failed", "a full disk"), 0.0)
    first, second, third = settings_of(benchmark)
    cells = [(cell.seed, cell.state, cell.reason) for cell in first.cells]
    assert cells == [("seed 0", "done", ""), ("seed 1", "diverged", "the loss is not finite")]
    assert first.figures["Clean accuracy"].n == 1
    below = "its clean model failed: a full disk"
    assert [(cell.state, cell.reason) for cell in second.cells] == [("failed", "no memory"), ("failed", below)]
    assert [(cell.state, cell.reason) for cell in third.cells] == [("waiting", ""), ("failed", below)]
    assert (second.figures, second.auditor, second.threat_model) == ({}, "", "")


def test_excluded_cells_are_counted_by_their_reason(tmp_path: Path) -> None:
    rules = [
        {"where": {"attack.poison.rate": 0.1}, "reason": "too weak"},
        {"where": {"attack.poison.rate": 0.2, "seed": 1}, "reason": "it takes too long"},
    ]
    benchmark = prepared(tmp_path / "runs", exclude=rules)
    laid_out = board(survey(benchmark), benchmark.folder)
    assert laid_out.excluded == ("1 cell: it takes too long", "2 cells: too weak")
    assert [(setting.labels, len(setting.cells)) for setting in laid_out.settings] == [(("0.2",), 1)]


def test_a_cell_leads_to_the_page_of_its_run_where_there_is_one(tiny: Prepared) -> None:
    for task in attacks(tiny).values():
        finish(task)
    task = attacks(tiny)["0.1", 1]
    (task.folder.path / "report.html").write_text("a page", encoding="utf-8")
    links = [cell.link for setting in settings_of(tiny) for cell in setting.cells]
    assert links == [None, f"../../{task.key}/report.html", None, None]
    assert (tiny.folder / str(links[1])).resolve().is_file()


def test_links_lead_from_wherever_the_page_is_to_be(tiny: Prepared, tmp_path: Path) -> None:
    task = attacks(tiny)["0.1", 0]
    finish_with_page(task)
    elsewhere = tmp_path / "a" / "b"
    elsewhere.mkdir(parents=True)
    link = board(survey(tiny), elsewhere).settings[0].cells[0].link
    assert (elsewhere / str(link)).resolve() == page_of(task.folder).resolve()


def test_the_board_says_what_it_is_and_what_it_was_computed_on(tiny: Prepared) -> None:
    task = attacks(tiny)["0.1", 0]
    finish(task)
    known: dict[str, Any] = {"device_type": "cpu", "device": "a processor", "threads": 2, "precision": "fp32"}
    task.folder.environment.write_text(json.dumps(known), encoding="utf-8")
    laid_out = board(survey(tiny), tiny.folder)
    assert (laid_out.name, laid_out.command, laid_out.axes) == (
        "tiny",
        "falsewitness bench tiny.yaml",
        ("attack.poison.rate",),
    )
    assert [shown.title for shown in laid_out.columns] == ["Clean accuracy", "Training time", "Evaluation time"]
    assert [setting.device for setting in laid_out.settings] == ["a processor, 2 threads, fp32", ""]
