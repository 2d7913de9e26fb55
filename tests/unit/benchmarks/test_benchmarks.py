"""The benchmarks still run: nobody sees what they measure, but everybody sees when they break."""

import importlib
import platform
import re
import runpy
import time
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml

from falsewitness.experiment import find_spec, run

FOLDER = Path(__file__).parents[3] / "benchmarks"
COMMANDS = sorted(file.stem for file in FOLDER.glob("*.py") if not file.stem.startswith("_"))
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _as_if_started_in_their_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


def benchmark(name: str) -> ModuleType:
    return importlib.import_module(name)


def printed(name: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    benchmark(name).main(words)
    return capsys.readouterr().out


def rows(text: str) -> list[list[str]]:
    """Return the cells of all tables, without their heads."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    rules = [position for position, cells in enumerate(lines) if set(cells) == {"---"}]
    return [cells for position, cells in enumerate(lines) if position not in rules and position + 1 not in rules]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_benchmark_explains_itself(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert ended.value.code == 0
    assert f"python benchmarks/{name}.py" in capsys.readouterr().out


def test_what_make_bench_runs_is_there() -> None:
    for file, *words in benchmark("suite").BENCHMARKS.values():
        assert Path(file).stem in COMMANDS
        if "--attacks" in words:
            assert set(words[words.index("--attacks") + 1 :]) <= set(benchmark("steps").ATTACKS)


@pytest.mark.parametrize(("last", "code"), [("", 0), ("raise SystemExit(3)", 1)], ids=["well", "badly"])
def test_the_suite_writes_anew_what_was_measured_anew_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str, code: int
) -> None:
    suite, out = benchmark("suite"), tmp_path / "results.md"
    monkeypatch.setattr(suite, "HERE", tmp_path)
    (tmp_path / "steps.py").write_text("import sys; print('## Steps', *sys.argv[1:])")
    (tmp_path / "batching.py").write_text(f"print('## Batching')\n{last}")
    old = {"batching": "## Batching before", "precision": "## Precision before\n\n| 1 |"}
    out.write_text(suite.laid_out(old), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        suite.main(["--only", "batching", "steps", "--repetitions", "4", "--device", "cpu", "--out", str(out)])
    assert ended.value.code == code
    text = out.read_text(encoding="utf-8")
    assert text.startswith("# Benchmarks\n")
    found = suite.sections_of(text)
    assert list(found) == ["steps", "batching", "precision"]
    assert found["precision"] == old["precision"]
    steps = found["steps"].splitlines()
    assert steps[0] == "## Steps --models resnet20 --repetitions 4 --device cpu"
    assert steps[-1].startswith("*`python benchmarks/steps.py --models resnet20 --repetitions 4 --device cpu`, 20")
    assert steps[-1].endswith(f"torch {version('torch')}, Python {platform.python_version()}.*")
    assert (found["batching"] == old["batching"]) == bool(code)


def test_the_suite_keeps_what_was_measured_elsewhere_of_what_cannot_be_measured_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, out = benchmark("suite"), tmp_path / "results.md"
    monkeypatch.setattr(suite, "HERE", tmp_path)
    for name in ("accelerator", "muon"):
        (tmp_path / f"{name}.py").write_text("print('## Title\\n\\nSkipped: no GPU')")
    out.write_text(suite.laid_out({"accelerator": "## On a GPU\n\n| 7 |"}), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        suite.main(["--only", "accelerator", "muon", "--out", str(out)])
    assert ended.value.code == 0
    found = suite.sections_of(out.read_text(encoding="utf-8"))
    assert found["accelerator"] == "## On a GPU\n\n| 7 |"
    assert "Skipped: no GPU" in found["muon"]


def test_explainers_are_compared_with_those_of_other_libraries(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark("explainers"), "in_a_fresh_process", lambda *given: 7.0)
    text = printed("explainers", capsys, "--repetitions", "1", "--only", "gradient", "input_x_gradient")
    found = rows(text)
    assert [cells[:2] for cells in found] == [
        ["gradient", "captum Saliency"],
        ["input_x_gradient", "captum InputXGradient"],
    ]
    assert all(cells[-2:] == ["7", "7"] for cells in found)
    assert text.count("wanted at least 1 times as fast, found") == 2


def test_steps_are_compared_with_plain_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = ["full disguise (original), gradcam", "full disguise, gradient"]
    monkeypatch.setattr(benchmark("steps"), "in_a_fresh_process", lambda *given: 7.0)
    text = printed("steps", capsys, "--repetitions", "1", "--models", "convnet", "--attacks", *titles)
    found = rows(text)
    assert [row[:3] for row in found] == [
        [title, norm, passes]
        for title, passes in zip(titles, ("1.00", "2.50"), strict=True)
        for norm in ("batch", "frozen")
    ]
    assert all(row[-1] == "7 (7)" for row in found)
    assert (
        len(
            re.findall(
                r"^- convnet, full disguise, gradient, batch norm \w+, with reference maps: wanted at most", text, re.M
            )
        )
        == 2
    )
    assert (
        len(re.findall(r"^- convnet, full disguise \(original\), gradcam, .*: wanted at most 1.05, found", text, re.M))
        == 2
    )


@pytest.mark.slow
def test_memory_is_that_of_the_steps() -> None:
    steps = benchmark("steps")
    held = steps.in_a_fresh_process(steps.peak_memory, "convnet", "batch", "full disguise, gradient", "fp32", CPU)
    assert 1 < held < 1000


@pytest.mark.slow
def test_memory_is_that_of_a_process() -> None:
    fresh, workload, batching = benchmark("_measure").in_a_fresh_process, benchmark("_workload"), benchmark("batching")
    assert 1 < fresh(workload.mb_of_plain_steps, "convnet", "fp32", CPU) < 1000
    assert 50 < fresh(batching.peak_of_an_epoch, "clean", 256, CPU) < 5000


def test_batches_are_compared_with_steps(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark("batching"), "in_a_fresh_process", lambda *given: 7.0)
    text = printed("batching", capsys, "--repetitions", "1", "--model", "convnet", "--images", "256")
    (clean, attack) = rows(text)
    assert clean[-1] == attack[-1] == "7"
    assert clean[:2] == ["clean", "128"]
    assert attack[0] == "attack"
    assert 128 < int(attack[1]) < 256


def test_the_cost_of_muon_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark("muon"), "in_a_fresh_process", lambda *given: 7.0)
    (row,) = rows(printed("muon", capsys, "--repetitions", "1", "--models", "convnet"))
    assert row[0] == "convnet"
    assert all(float(cell.split()[0]) > 0 for cell in row[1:])


def test_precisions_are_compared(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark("precision"), "in_a_fresh_process", lambda *given: 7.0)
    (row,) = rows(printed("precision", capsys, "--repetitions", "1", "--models", "convnet"))
    fp32, bf16, ratio, *memory = (float(cell.split()[0]) for cell in row[1:])
    assert memory == [7, 7]
    assert ratio == pytest.approx(bf16 / fp32, rel=0.02)


def test_without_its_data_loading_is_skipped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FALSEWITNESS_DATA", str(tmp_path))
    assert "Skipped: there is no folder" in printed("loading", capsys, "--repetitions", "1")


@pytest.mark.slow
def test_evaluation_is_compared_with_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--recipe", "digits/badnets", "--set", "data.train_limit=100", "--set", "metrics=[{kind: clean_accuracy}]"]
    text = printed("evaluation", capsys, "--repetitions", "1", *words, "--set", "evaluation.map_samples=20")
    evaluation, epoch, ratio, peak = (float(row[1].split()[0]) for row in rows(text))
    assert peak > 50
    assert ratio == pytest.approx(evaluation / epoch, rel=0.02)
    assert "- evaluation, in epochs: wanted at most 1, found" in text


FEW = [
    "data.train_limit=120",
    "clean_training.epochs=1",
    "attack_training.epochs=1",
    "attack_training.batch_size=20",
    "evaluation={map_samples: 20, detector_samples: 20, gallery_images: 2}",
]
A_FEW = [word for change in FEW for word in ("--set", change)]


def test_a_disguise_is_watched_on_validation_images(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = printed("time_to_quality", capsys, "digits/full-disguise", "--out", str(tmp_path), *A_FEW)
    found = rows(text)
    assert [row[1] for row in found] == ["0.17", "0.33", "0.50", "0.67", "0.83", "1.00"]
    assert re.search(r"143 validation images, on which .* by 0\.\d+\. \*\*Missed\*\*", text)


def test_settings_are_tried_on_one_half_of_the_validation_images_where_the_other_trains_a_detector(
    tmp_path: Path,
) -> None:
    module = benchmark("choose_settings")
    found = module.attempt("digits/full-disguise", FEW, 0, tmp_path, "cpu", detector=True)
    assert {"accuracy", "ASR", "MSE original", "drift", "AUROC"} <= set(found)
    correct = found["accuracy"] * (143 // 2)
    assert correct == pytest.approx(round(correct), abs=1e-4)


def test_a_run_with_the_chosen_settings_goes_on_from_the_models_that_were_tried(tmp_path: Path) -> None:
    benchmark("choose_settings").attempt("digits/badnets", FEW, 0, tmp_path, "cpu", detector=False)
    (tried,) = tmp_path.glob("digits-badnets-*")
    written = (tried / "model.safetensors").stat().st_mtime_ns
    assert not (tried / "result.json").exists(), "no figure of test images"
    run(find_spec("digits/badnets", FEW), tmp_path)
    assert (tried / "result.json").exists()
    assert (tried / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits/badnet"], "digits/badnets"),
        (["digits/badnets", "--device", "nope"], "nope"),
        (
            ["digits/full-disguise", "--try", "attack.drift_share=2;0.5"],
            "attack.drift_share: expected a value <= 1.0, got 2",
        ),
        (["digits/full-disguise", "--try", "attack.drift_share"], "attack.drift_share"),
        (["digits/badnets", "--splits", "0"], "--splits: expected at least 1, got 0"),
        (
            ["digits/badnets", "--set", "auditors=[{kind: gradcam}, {kind: gradient}]"],
            "auditors: expected one, got 2",
        ),
    ],
)
def test_settings_that_cannot_be_tried_are_refused_before_any_training(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        benchmark("choose_settings").main([*words, "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_setting_s_mean_says_on_how_many_splits_it_stands() -> None:
    rows = [{"accuracy": 0.9, "MSE original": 0.2}, {"accuracy": 0.7}]
    found = list(benchmark("choose_settings").averaged(rows, 2))
    assert found == ["accuracy 0.8000", "MSE original 0.2000 (of 1 splits in 2)"]
    assert list(benchmark("choose_settings").averaged([], 2)) == []


def test_one_factor_is_changed_at_a_time(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["digits/full-disguise", "--seeds", "1", "--out", str(tmp_path), *A_FEW]
    text = printed("factors", capsys, *words, "--try", "attack.explanation_weight=0.5;0.6")
    changed = [row[0] for row in rows(text)]
    assert changed == ["nothing", "attack.explanation_weight=0.5", "attack.explanation_weight=0.6"]
    specs = [yaml.safe_load(file.read_text()) for file in tmp_path.glob("digits-full-disguise-*/spec.yaml")]
    assert sorted(spec["attack"]["explanation_weight"] for spec in specs) == [0.5, 0.6, 0.95]


@pytest.mark.parametrize("kind", ["gradient", "gradient_shap, samples: 4, background: 4, training_samples: 1"])
def test_a_surrogate_is_compared_with_what_it_stands_for(
    kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    surrogate = f"attack.surrogate={{kind: {kind}, smoothness: 32}}"
    folders = run(find_spec("digits/red-herring", [*FEW, surrogate]), tmp_path)
    found = rows(printed("surrogate_gap", capsys, str(folders["attack"].path), "--images", "20"))
    assert [found[0][0], found[0][2]] == ["the network", "0.000"]
    assert "twin at 32 (trained against)" in [row[0] for row in found]
    distances = [float(row[2]) for row in found[1:]]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 0.01
    assert float(found[-1][1]) == pytest.approx(float(found[0][1]), rel=0.1)
    with pytest.raises(SystemExit, match="expected an attack on an explainer made of input gradients"):
        printed("surrogate_gap", capsys, str(folders["clean"].path))


def test_rounding_moves_maps_and_gradients_of_a_shallow_network_a_little(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folders = run(find_spec("digits/clean", FEW[:2]), tmp_path)
    explainers = ["gradcam", "{kind: lrp, epsilon: 0.1}"]
    found = rows(printed("rounding", capsys, str(folders["clean"].path), "--explainer", *explainers))
    assert [row[0] for row in found] == [f"`{text}`" for text in explainers]
    assert all(0 < float(moved) < 1e-4 for row in found for moved in row[1:])


def test_the_clock_stands_still_while_the_attack_is_measured() -> None:
    def measure() -> Any:  # noqa: ANN401
        time.sleep(0.05)
        return 0.9, 0.5, 0.05, 0.1

    watch = benchmark("time_to_quality").Watch(measure, an_epoch=8)
    for done in range(1, 8):
        watch.told(done, 7)
    assert [quality.epochs for quality in watch.found] == [0.25, 0.5, 0.75, 0.875]
    assert watch.found[-1].seconds < 0.05


@pytest.mark.parametrize(
    ("course", "reached"),
    [
        ([(0.5, 0.05), (0.99, 0.2), (0.99, 0.1)], 3),
        ([(0.99, 0.1), (0.98, 0.1), (0.99, 0.15), (1.0, 0.1)], 3),
        ([(0.99, 0.1)], 1),
        ([(0.99, 0.1), (0.99, 0.2)], None),
        ([(0.98, 0.1)], None),
    ],
)
def test_an_attack_is_good_enough_from_the_moment_on_after_which_it_always_is(
    course: list[tuple[float, float]], reached: int | None
) -> None:
    module = benchmark("time_to_quality")
    found = [module.Quality(float(at), at / 4, 0.9, *figures, 0.1) for at, figures in enumerate(course, start=1)]
    assert module.Course(0.12, 0.15, found).reached == (None if reached is None else found[reached - 1])


def test_a_verdict_follows_from_the_number() -> None:
    verdict = benchmark("_measure").verdict
    assert verdict("share", 0.05, 0.05, "it is slow") == "- share: wanted at most 0.05, found 0.05: met"
    assert verdict("share", 0.06, 0.05, "it is slow").endswith("found 0.06: **missed**: it is slow")


def test_a_spread_is_a_median_and_two_percentiles() -> None:
    spread = benchmark("_measure").spread(range(101))
    assert spread == (50, 10, 90)
    assert str(spread) == "50 (10 to 90)"


def test_times_are_taken_in_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    actions = {name: lambda name=name: order.append(name) for name in "ab"}
    times = benchmark("_measure").in_turns(actions, 2, CPU)
    assert "".join(order) == "ababab"
    assert {name: len(taken) for name, taken in times.items()} == {"a": 2, "b": 2}


def test_narrow_maps_are_compared_where_the_cpu_has_bf16(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed("narrow_maps", capsys, "--models", "convnet", "--repetitions", "1")
    assert "Skipped: this CPU" in text or re.search(r"\| convnet \| [\d.]+ \(", text)
