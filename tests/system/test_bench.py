"""Benchmarks as a user types them: what is said, what is written, and what the exit codes mean."""

import csv
import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.conftest import Tried
from tests.system.benches import (
    BENCH,
    CELLS,
    FILE,
    MODELS,
    Store,
    WorkedOff,
    assert_nobody_left,
    assert_same_bench,
    benchmark,
    driver,
)
from tests.system.conftest import Begin, Command, until, without_times
from tests.system.generated import tried_all
from tests.system.runs import folders_of, vouched_for
from tests.system.test_terminal_output import CONTROL, on_a_terminal
from tests.system.unreadable_specs import Unreadable, unreadable_yaml

from falsewitness.benchmark import FORMATS, announced
from falsewitness.benchmark._announcement import Running, now

CELL_NAMES = [f"recipe digits/{attack}, seed {seed}" for attack in ("badnets", "full-disguise") for seed in (0, 1)]
UNKNOWN = "time left: not known before a similar model is finished (10 models)"


def said(text: str) -> str:
    """What a command says after it has read the data."""
    _, read, rest = text.partition("reading digits: ")
    assert read, text
    return rest.partition("\n")[2]


def plan_of(text: str) -> tuple[list[tuple[str, str]], str]:
    """The cells and their states that a dry run tells, and what it says below."""
    heading, *lines = said(text).splitlines()
    assert heading.split() == ["Cell", "State"]
    end = lines.index("")
    cells = [re.split("  +", line, maxsplit=1) for line in lines[:end]]
    return [(name, state) for name, state in cells], "\n".join(lines[end + 1 :])


def measured(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "result.json").read_text(encoding="utf-8"))["measurements"]
    return found


def test_a_dry_run_names_every_cell_and_what_is_to_be_trained_and_writes_nothing(ask: Command, tmp_path: Path) -> None:
    benchmark(tmp_path)
    answer = ask(*BENCH, "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    cells, below = plan_of(answer.out)
    assert cells == [(name, "waiting") for name in CELL_NAMES]
    assert below == f"4 cells: 4 waiting\nto train: 2 clean, 4 control, 4 attack\n{UNKNOWN}"
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_dry_run_of_what_is_done_says_so(ask: Command, worked_off: WorkedOff, tmp_path: Path) -> None:
    worked_off.copied(tmp_path)
    assert plan_of(ask(*BENCH, "--dry-run").out) == ([(name, "done") for name in CELL_NAMES], "4 cells: 4 done")


def test_a_change_reaches_every_cell_and_only_what_it_decides_is_to_be_trained(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    worked_off.copied(tmp_path)
    cells, below = plan_of(ask(*BENCH, "--dry-run", "--set", "attack_training.epochs=8").out)
    assert cells == [(name, "waiting") for name in CELL_NAMES]
    todo = r"4 cells: 4 waiting\nto train: 4 control, 4 attack\ntime left: about \d.* of one worker"
    assert re.fullmatch(todo, below)


def test_a_dry_run_tells_training_from_measuring(ask: Command, worked_off: WorkedOff, tmp_path: Path) -> None:
    store = worked_off.copied(tmp_path)
    killed_before_its_figures = store.of("digits-badnets")
    (killed_before_its_figures / ".evaluate-done.json").unlink()
    _, below = plan_of(ask(*BENCH, "--dry-run", "--set", "auditors=[{kind: gradient}]").out)
    assert "to train" not in below
    assert "to measure, without training: 1 model\nto measure anew, without training: 3 models; figures" in below
    assert "\ntime left: about" in below


def test_a_driver_tells_every_model_that_is_done_and_where_the_page_is(worked_off: WorkedOff) -> None:
    lines = worked_off.answer.out.splitlines()
    assert f"benchmark small: {MODELS} models, {MODELS} to do" in lines
    done = [found.groups() for line in lines if (found := re.fullmatch(r"(\S+): done in .*, (\d+) of 10", line))]
    assert [int(count) for _, count in done] == list(range(1, MODELS + 1))
    assert {name for name, _ in done} == {folder.name for folder in folders_of(worked_off.runs)}
    assert lines[-4:] == ["", "small: 4 cells: 4 done", "", "page: runs/bench/small/index.html"]
    assert worked_off.most_at_once == 2, "as many as there are workers"
    page = (worked_off.runs / "bench/small/index.html").read_text(encoding="utf-8")
    assert "digits/full-disguise" in page
    assert "falsewitness bench small.yaml" in page


def test_what_is_done_is_not_done_again_and_the_command_run_may_be_left_out(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    store = worked_off.copied(tmp_path)
    before = vouched_for(store.runs)
    short, long = ask("bench", FILE), ask("bench", "run", FILE)
    assert (short.code, short.err) == (0, "")
    assert "benchmark small: 10 models, 0 to do\n" in short.out
    assert without_times(short.out) == without_times(long.out)
    assert vouched_for(store.runs) == before


def test_a_further_auditor_judges_every_cell_and_trains_nothing(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    store = worked_off.copied(tmp_path)
    benchmark(tmp_path, axes={"recipe": ["digits/badnets", "digits/full-disguise"]})
    trained = {name: version for name, version in vouched_for(store.runs).items() if name.endswith("model.safetensors")}
    weights = {name: (store.runs / name).read_bytes() for name in trained}
    assert len(trained) == MODELS
    answer = ask(*BENCH, "--set", "auditors=[{kind: gradcam}, {kind: gradient}]")
    assert (answer.code, answer.err) == (0, "")
    assert "benchmark small: 5 models, 2 to do\n" in answer.out
    assert trained.items() <= vouched_for(store.runs).items()
    assert weights == {name: (store.runs / name).read_bytes() for name in weights}
    for folder in (store.of("digits-badnets"), store.of("digits-full")):
        found, before = measured(folder), measured(worked_off.runs / folder.name)
        assert {one["auditor"] for one in found} == {None, "gradcam", "gradient"}
        assert [one for one in found if one["auditor"] != "gradient"] == before


def test_the_status_tells_what_is_done_and_the_time_that_is_left(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    worked_off.copied(tmp_path, worked_off.of("digits-badnets"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    answer = ask("bench", "status", FILE)
    assert (answer.code, answer.err) == (0, "")
    assert re.fullmatch(
        r"\nsmall: 4 cells: 3 done, 1 waiting\ntime left: about \d+\.\d s of one worker\n", said(answer.out)
    )
    assert said(ask("bench", "status", FILE, "--out", "elsewhere").out) == (f"\nsmall: 4 cells: 4 waiting\n{UNKNOWN}\n")
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}, "it only looks"


def test_a_watcher_sees_what_runs_and_leaves_when_nobody_works_any_more(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, attack = worked_off.of("clean"), worked_off.of("digits-full")
    store = worked_off.copied(tmp_path, attack)
    with ExitStack() as works:
        announcement = works.enter_context(announced(store.runs / "bench" / "small" / "drivers"))
        announcement.tell([Running(clean.name, now(), 1), Running(attack.name, now() - 1000, 2)])
        monkeypatch.setattr("falsewitness.cli._bench_console.time.sleep", lambda seconds: works.close())
        answer = ask("bench", "watch", FILE)
    assert (answer.code, answer.err) == (0, "")
    assert re.fullmatch(
        "small: 4 cells: 3 done, 1 running\n"
        rf"  running: {attack.name} for 1[67] min \d\d s of about \d+\.\d s, try 2\n"
        r"time left: about 0\.0 s of one worker\n"
        "small: 4 cells: 3 done, 1 waiting\n"
        r"time left: about \d+\.\d s of one worker\n",
        said(answer.out),
    )


@pytest.mark.slow
def test_a_watcher_sees_two_workers_at_once_and_leaves_when_nothing_runs_any_more(
    begin: Begin, ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    attacks = [worked_off.of("digits-badnets", seed) for seed in (0, 1)]
    store = worked_off.copied(tmp_path, *attacks)
    driving = driver(begin, store, "--workers", 2)
    until(lambda: len(driving.running()) == 2, driving.process)
    assert "small: 4 cells: 2 done, 2 running\n" in ask("bench", "status", FILE).out
    seen = ask("bench", "watch", FILE, "--every", 0.2)
    answer = driving.end()
    assert (answer.code, answer.err) == (0, "")
    assert (seen.code, seen.err) == (0, "")
    first, *lines = said(seen.out).splitlines()
    assert first == "small: 4 cells: 2 done, 2 running"
    running = re.compile(r"  running: (\S+) for \d+\.\d s of about \d+\.\d s")
    assert {found[1] for line in lines[:2] if (found := running.fullmatch(line))} == {path.name for path in attacks}
    assert lines[-2:] == ["small: 4 cells: 4 done", "nothing is left to do"]
    assert_same_bench(store, worked_off)


def test_a_watcher_of_what_nobody_works_on_says_how_it_stands_and_leaves(ask: Command, tmp_path: Path) -> None:
    benchmark(tmp_path)
    answer = ask("bench", "watch", FILE)
    assert (answer.code, answer.err) == (0, "")
    assert said(answer.out) == f"small: 4 cells: 4 waiting\n{UNKNOWN}\n"


@pytest.mark.parametrize("name", FORMATS.values())
def test_an_export_takes_the_place_of_no_other_file(
    ask: Command, worked_off: WorkedOff, tmp_path: Path, name: str
) -> None:
    worked_off.copied(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / name).write_text("mine")
    answer = ask("bench", "export", FILE, "--into", "docs")
    assert answer.code == 2
    assert answer.fault.startswith(f"'docs/{name}' is there and no ")
    assert [file.read_text() for file in (tmp_path / "docs").iterdir()] == ["mine"]


def test_a_benchmark_is_written_in_every_format_with_the_figures_of_the_runs(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    store = worked_off.copied(tmp_path)
    answer = ask("bench", "export", FILE, "--into", "tables")
    assert (answer.code, answer.err) == (0, "")
    again = ask("bench", "export", FILE, "--into", "tables")
    assert (again.code, again.err) == (0, ""), "its own files are replaced"
    names = ["index.html", "cells.parquet", "cells.csv", "leaderboard.md", "leaderboard.tex", "auditors.png"]
    assert said(answer.out).splitlines() == [f"tables/{name}" for name in names]
    assert {path.name for path in (tmp_path / "tables").iterdir()} == set(names)
    with (tmp_path / "tables" / "cells.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "tables" / "cells.parquet").to_pylist()
    assert len(lines) == len(table) == CELLS
    for line, row in zip(lines, table, strict=True):
        assert line["state"] == row["state"] == "done"
        (accuracy,) = (
            one["value"]
            for one in measured(store.runs / row["run"])
            if (one["metric"], one["name"], one["samples"]) == ("clean_accuracy", "accuracy", "all")
        )
        assert row["clean_accuracy.accuracy"] == float(line["clean_accuracy.accuracy"]) == accuracy
    markdown = (tmp_path / "tables" / "leaderboard.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (digits/\S+) \| gradcam \|", markdown, re.MULTILINE) == [
        "digits/badnets",
        "digits/full-disguise",
    ]
    latex = (tmp_path / "tables" / "leaderboard.tex").read_text(encoding="utf-8")
    assert latex.count(r" \\") == 3, "a heading and two settings"
    page = (tmp_path / "tables" / "index.html").read_text(encoding="utf-8")
    assert "digits/badnets" in page


def test_only_the_formats_asked_for_are_written_beside_the_page(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    store = worked_off.copied(tmp_path, worked_off.of("digits-badnets"))
    answer = ask("bench", "export", FILE, "--format", "csv", "--format", "latex")
    assert (answer.code, answer.err) == (0, "")
    assert said(answer.out) == "runs/bench/small/cells.csv\nruns/bench/small/leaderboard.tex\n"
    written = {path.name for path in (store.runs / "bench" / "small").iterdir()}
    assert written == {"index.html", "drivers", ".lock", "cells.csv", "leaderboard.tex"}
    with (store.runs / "bench" / "small" / "cells.csv").open(newline="", encoding="utf-8") as file:
        assert [line["state"] for line in csv.DictReader(file)] == ["waiting", "done", "done", "done"]


def test_an_export_before_anything_is_done_says_so_and_names_the_command_that_does_it(
    ask: Command, tmp_path: Path
) -> None:
    benchmark(tmp_path)
    answer = ask(
        "bench", "export", FILE, "--out", "my runs", "--set", "precision=fp32", "--format", "csv", "--device", "cpu"
    )
    assert (answer.code, answer.err) == (0, "")
    command = "falsewitness bench small.yaml --set precision=fp32 --out 'my runs' --device cpu"
    told, table, end = said(answer.out).split("\n")
    assert (told, end) == (f"no cell is done yet; `{command}` does them", "")
    assert re.fullmatch(r"my runs/bench/small-[0-9a-f]{8}/cells\.csv", table)


def test_with_changes_a_benchmark_has_a_folder_of_its_own(ask: Command, worked_off: WorkedOff, tmp_path: Path) -> None:
    worked_off.copied(tmp_path)
    page = tmp_path / "runs/bench/small/index.html"
    before = page.read_bytes()
    answer = ask("bench", "export", FILE, "--set", "attack_training.learning_rate=0.3", "--format", "html")
    assert (answer.code, answer.err) == (0, "")
    assert re.fullmatch(r"no cell is done yet; .*\nruns/bench/small-[0-9a-f]{8}/index\.html\n", said(answer.out))
    assert page.read_bytes() == before


def test_cells_that_are_left_out_are_counted_and_not_worked_on(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    worked_off.copied(tmp_path)
    benchmark(tmp_path, exclude=[{"where": {"seed": 1}, "reason": "one seed will do"}])
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (0, "")
    assert "benchmark small: 5 models, 0 to do" in answer.out
    assert "small: 4 cells: 2 done, 2 skipped\n" in answer.out
    assert "one seed will do" in (tmp_path / "runs/bench/small/index.html").read_text(encoding="utf-8")


def test_a_budget_that_is_spent_ends_the_work_without_a_failure(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    attack = worked_off.of("digits-badnets")
    store = worked_off.copied(tmp_path, attack)
    benchmark(tmp_path, budget={"hours": 1.0e-6})
    answer = ask(*BENCH)
    assert (answer.code, answer.err) == (0, "")
    assert "small: 4 cells: 3 done, 1 skipped\n" in answer.out
    assert not (store.runs / attack.name).exists()


@pytest.mark.slow
def test_a_report_of_run_folders_passes_over_what_a_benchmark_keeps_beside_them(
    ask: Command, worked_off: WorkedOff, tmp_path: Path
) -> None:
    worked_off.copied(tmp_path)
    answer = ask("report", "runs")
    assert (answer.code, answer.err) == (0, "")


MISSPELT: dict[str, tuple[list[object], str]] = {
    "a benchmark": (["bench", "digits-smok"], "there is no benchmark and no file 'digits-smok'; did you mean "),
    "a file": (["bench", "run", "smal.yaml"], "there is no benchmark and no file 'smal.yaml'; expected one of "),
    "a command": (["bench", "statsu", FILE], "there is no command 'bench statsu'; did you mean 'status'?"),
    "a command before options": (["bench", "exprot", FILE, "--format", "csv"], "did you mean 'export'?"),
    "a format": (["bench", "export", FILE, "--format", "cvs"], "there is no format 'cvs'; did you mean 'csv'?"),
    "an executor": ([*BENCH, "--executor", "lokal"], "there is no 'lokal' among the executors; did you mean 'local'?"),
    "an executor of a dry run": ([*BENCH, "--dry-run", "--executor", "raay"], "did you mean 'ray'?"),
    "a field of an executor": ([*BENCH, "--executor", "{kind: local, treads: 2}"], "did you mean 'threads'?"),
    "an executor in no YAML": ([*BENCH, "--executor", "{kind: [}"], "--executor {kind: [}: expected YAML"),
    "no executor": ([*BENCH, "--executor", ""], "--executor: expected a kind, or {kind: ..., field: value}, got ''"),
    "no worker": ([*BENCH, "--workers", 0], "'--workers': Input should be greater than or equal to 1"),
    "a field": ([*BENCH, "--set", "attack_training.epoch=1"], "did you mean 'epochs'? (in the cell recipe digits/"),
    "a field of an axis": ([*BENCH, "--set", "seed=1"], "is varied by an axis of the benchmark"),
    "a device": ([*BENCH, "--device", "gpuu"], "--device: expected auto, cpu, cuda or another that is here, got 'gpuu"),
    "an interval": (["bench", "watch", FILE, "--every", 0], "'--every': Input should be greater than or equal to 0.2"),
}


@pytest.mark.parametrize("what", MISSPELT)
def test_what_is_misspelt_is_named_with_what_may_be_meant_and_nothing_is_begun(
    ask: Command, tmp_path: Path, tried: Tried, what: str
) -> None:
    benchmark(tmp_path)
    words, told = MISSPELT[what]
    answer = ask(*words)
    assert answer.code == 2
    assert told in answer.fault
    assert len(answer.fault.splitlines()) == (2 if " has 1 fault:" in answer.fault else 1)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    tried("bad inputs", "benchmarks")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"axes": {"sed": [0, 1, 2]}}, "axes.sed: 'sed' is no field of a spec (did you mean 'seed'?)"),
        ({"axes": {"sed": [0, 1, 2]}}, "such as {seed: 1}, got 0, and 2 more such values"),
        (
            {"axes": {"recipe": ["digits/badnet"]}},
            "benchmark 'small': there is no recipe and no file 'digits/badnet'; ",
        ),
        ({"axes": {}}, "axes: expected at least 1"),
        ({"axis": {"seed": [0]}}, "axis: unknown key"),
        ({"executor": {"kind": "local", "workers": 0}}, "executor.workers: expected a value >= 1, got 0"),
        ({"limits": {"minutes": 0}}, "limits.minutes: expected a value > 0.0, got 0"),
        ({"exclude": [{"where": {"sed": 1}, "reason": "no"}]}, "there is no axis 'sed'; did you mean 'seed'?"),
        ({"common": {"modell": {"width": 8}}}, "modell: unknown key"),
    ],
)
def test_a_bad_benchmark_is_refused_with_the_place_of_every_fault(
    ask: Command, tmp_path: Path, tried: Tried, fields: dict[str, Any], told: str
) -> None:
    benchmark(tmp_path, **fields)
    answer = ask(*BENCH)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.fault
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    tried("bad inputs", "benchmarks")


def test_all_faults_of_a_benchmark_s_own_fields_are_named_at_once(ask: Command, tmp_path: Path, tried: Tried) -> None:
    benchmark(tmp_path, executor={"kind": "local", "workers": 0}, limits={"minutes": 0}, axis={}, exclude=3)
    answer = ask(*BENCH)
    assert (answer.code, answer.out) == (2, "")
    told = {line.partition(": ")[0].strip() for line in answer.fault.splitlines()[1:]}
    assert told == {"axis", "executor.workers", "limits.minutes", "exclude"}
    tried("bad inputs", "benchmarks")


def test_a_benchmark_that_is_no_yaml_is_refused_in_one_line(ask: Command, tmp_path: Path, tried: Tried) -> None:
    def check(drawn: Unreadable) -> None:
        (tmp_path / FILE).write_bytes(drawn.content)
        answer = ask(*BENCH)
        assert (answer.code, answer.out) == (2, "")
        assert len(answer.err.splitlines()) == 1
        assert drawn.said in answer.fault
        assert [path.name for path in tmp_path.iterdir()] == [FILE]

    tried("bad inputs", "benchmarks", tried_all(check, unreadable_yaml(), 50))


@pytest.mark.slow
def test_a_terminal_shows_a_bar_of_the_models_and_keeps_the_end(worked_off: WorkedOff, tmp_path: Path) -> None:
    store = worked_off.copied(tmp_path, worked_off.of("digits-badnets"))
    written, code = on_a_terminal(tmp_path, *BENCH, columns=80)
    assert code == 0, written
    frames = [CONTROL.sub("", frame) for frame in re.split(r"[\r\n]+", written)]
    assert any(re.match(r"small, 1 running +\S+ +9/10 0:00:\d\d", frame) for frame in frames), frames
    assert max(map(len, frames)) <= 80
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h"), "the cursor is shown again"
    assert [frame for frame in frames if frame][-2:] == [
        "small: 4 cells: 4 done",
        "page: runs/bench/small/index.html",
    ]
    watched, code = on_a_terminal(tmp_path, "bench", "watch", FILE, columns=80)
    assert code == 0
    assert CONTROL.sub("", watched).splitlines()[-2:] == ["small: 4 cells: 4 done", "nothing is left to do"]
    assert_same_bench(store, worked_off)


@pytest.mark.slow
def test_jobs_of_a_batch_system_outlive_their_driver_and_do_nothing_twice_and_come_to_the_same_bits(
    begin: Begin, worked_off: WorkedOff, tmp_path: Path, tried: Tried
) -> None:
    benchmark(tmp_path)
    store = Store(tmp_path)
    words = ("--executor", "{kind: slurm, cluster: local, workers: 2, cpus: 1}")
    killed = driver(begin, store, *words)
    until(lambda: any(store.runs.glob("control-*/.lock")), killed.process, 180)
    killed.process.kill()
    finished = vouched_for(store.runs)
    answer = driver(begin, store, *words).end(limit=600)
    assert (answer.code, answer.err) == (0, "")
    assert finished.items() <= vouched_for(store.runs).items()
    assert_nobody_left(killed.mark)
    assert_same_bench(store, worked_off)
    tried("kills", "driver of a batch system")
    tried("faults", "SIGKILL")
