import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.system.conftest import Command

from falsewitness.benchmark import benchmark_names
from falsewitness.cli.catalogue import catalogues
from falsewitness.core import describe_fields
from falsewitness.experiment import recipe_names

ROOMS = ["data", "models", "triggers", "attacks", "explainers", "metrics", "executors"]
KINDS = [(room, kind) for room, catalogue in catalogues().items() for kind in catalogue.kinds()]
PROGRAM = Path(sys.executable).with_name("falsewitness")


def place_of(room: str) -> str:
    """The heading over where a component is named."""
    return "IN A BENCHMARK" if room == "executors" else "IN A SPEC"


def test_list_names_every_component_recipe_and_benchmark_with_a_word_on_each(ask: Command) -> None:
    lines = ask("list").out.splitlines()
    for name in [*(kind for _, kind in KINDS), *recipe_names(), *benchmark_names()]:
        assert any(re.match(rf"  {re.escape(name)} +\S", line) for line in lines), name
    assert [line for line in lines if line and not line.startswith(" ")] == [*ROOMS, "recipes", "benchmarks"]


def test_list_uses_the_columns_there_are_and_no_more(ask: Command, command: Command, tmp_path: Path) -> None:
    for columns, text in ((80, ask("list").out), (120, command(tmp_path, "list", COLUMNS="120").out)):
        assert 0.8 * columns < max(map(len, text.splitlines())) <= columns
        assert "``" not in text
        assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize(
    ("one", "all_of_them"),
    [("explainer", "explainers"), ("recipe", "recipes"), ("benchmark", "benchmarks"), ("data", "data")],
)
def test_a_kind_may_be_named_in_the_singular(ask: Command, one: str, all_of_them: str) -> None:
    assert ask("list", one) == ask("list", all_of_them)


def test_list_of_a_kind_shows_that_kind_alone(ask: Command) -> None:
    assert "gradcam" in ask("list", "explainers").out
    assert "badnets" not in ask("list", "explainers").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "explainerz"], "there is no kind of component 'explainerz'; did you mean 'explainers'?"),
        (["describe", "recipes", "digits/badnets"], "a recipe is a file; `falsewitness show digits/badnets` prints it"),
        (["describe", "atacks", "badnets"], "there is no kind of component 'atacks'; did you mean 'attacks'"),
        (["describe", "attacks", "badnet"], "there is no 'badnet' among the attacks; did you mean 'badnets'?"),
        (["show", "digits/badnet"], "there is no recipe and no file 'digits/badnet'; did you mean 'digits/badnets'"),
        (["data", "check", "cifar"], "there is no 'cifar' among the data; did you mean 'cifar10'?"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(ask: Command, words: list[str], message: str) -> None:
    answer = ask(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.fault.startswith(message)


@pytest.mark.parametrize(("room", "kind"), KINDS)
def test_every_component_has_a_page_with_all_its_fields(ask: Command, room: str, kind: str) -> None:
    answer = ask("describe", room, kind)
    assert (answer.code, answer.err) == (0, "")
    assert max(map(len, answer.out.splitlines())) <= 80
    assert "``" not in answer.out
    headings = re.findall(r"^[A-Z][A-Z ]+$", answer.out, flags=re.MULTILINE)
    assert headings[0] == "DESCRIPTION"
    assert place_of(room) in headings
    assert ("SOURCE" in headings) is (room != "executors")
    for field in describe_fields(catalogues()[room].get(kind)):
        assert re.search(rf"^  {field['name']}[:.]", answer.out, flags=re.MULTILINE), field["name"]


def test_the_page_of_an_attack_tells_its_threat_model_its_nested_fields_and_what_they_take(ask: Command) -> None:
    page = ask("describe", "attack", "full_disguise").out
    assert "THREAT MODEL\n  The attacker controls the training loop.\n" in page
    assert "  poison.rate: float, > 0, <= 1, required\n" in page
    assert "  start: clean_model | scratch, default clean_model\n" in page
    surrogates = page.partition("  surrogate: {kind: ")[2].partition("}")[0].split()
    assert {"gradcam", "gradient_shap", "|"} <= set(surrogates)


@pytest.mark.parametrize(("room", "kind"), KINDS)
def test_the_place_in_a_spec_that_a_page_names_is_yaml_with_every_required_field(
    ask: Command, room: str, kind: str
) -> None:
    _, _, rest = ask("describe", room, kind).out.partition(f"{place_of(room)}\n")
    shown = yaml.safe_load(rest.partition("\n\n")[0])
    component = _find(shown, kind)
    required = {field["name"] for field in describe_fields(catalogues()[room].get(kind))} & component.keys()
    missing = [
        field["name"] for field in describe_fields(catalogues()[room].get(kind)) if field["default"] == "required"
    ]
    assert sorted(required) == sorted(missing)


def _find(shown: object, kind: str) -> dict[str, object]:
    if isinstance(shown, dict):
        return shown if shown.get("kind") == kind else _find(next(iter(shown.values())), kind)
    assert isinstance(shown, list)
    return _find(shown[0], kind)


@pytest.mark.parametrize("name", recipe_names())
def test_what_show_prints_of_a_recipe_reads_back_as_the_same_spec(ask: Command, tmp_path: Path, name: str) -> None:
    shown = ask("show", name).out
    (tmp_path / "mine.yaml").write_text(shown, encoding="utf-8")
    assert ask("show", "mine.yaml").out == shown


def test_a_reader_that_leaves_early_hears_no_complaint(tmp_path: Path) -> None:
    line = f"{shlex.quote(str(PROGRAM))} list | head -1"
    answer = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (answer.stdout, answer.stderr) == ("data\n", "")


def test_the_state_of_each_data_set_is_listed_without_reading_it(
    ask: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FALSEWITNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FALSEWITNESS_DATA", raising=False)

    def state(kind: str) -> str:
        (found,) = re.findall(rf"^  {kind} +(\S+(?: \S+)?)  ", ask("data", "list").out, flags=re.MULTILINE)
        return str(found)

    assert (state("digits"), state("mnist"), state("image_folder")) == ("absent", "absent", "needs --set")
    assert ask("data", "prepare", "digits").code == 0
    assert state("digits") == "whole"
    (manifest,) = tmp_path.glob("cache/data/digits-*/manifest.json")
    manifest.write_text("{", encoding="utf-8")
    assert state("digits") == "damaged"


def test_a_data_set_is_prepared_once_and_checked_byte_by_byte(
    ask: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FALSEWITNESS_CACHE", str(tmp_path / "cache"))
    assert ask("data", "check", "digits").out.startswith("digits: absent: not decoded yet")
    prepared = ask("data", "prepare", "digits")
    assert prepared.code == 0
    assert "1295 training, 143 validation and 359 test images of 32x32x1 in 10 classes" in prepared.out
    assert "decoding" in prepared.out
    assert "decoding" not in ask("data", "prepare", "digits").out
    assert ask("data", "check", "digits").out.startswith("digits: whole: 1797 images")
    (images,) = tmp_path.glob("cache/data/digits-*/images.npy")
    with images.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x07")
    assert ask("data", "check", "digits").out.startswith("digits: damaged: images.npy is not what was written")


@pytest.mark.slow
@pytest.mark.parametrize(("words", "limit"), [("--help", 0.5), ("run --help", 0.5), ("list", 3.0), ("data list", 3.0)])
def test_looking_around_is_quick(tmp_path: Path, words: str, limit: float) -> None:
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime)"
    )
    line = [sys.executable, "-c", script, str(PROGRAM), *words.split()]
    spent = [float(subprocess.run(line, cwd=tmp_path, capture_output=True, check=True).stdout) for _ in range(3)]
    assert min(spent) < limit


def test_the_file_of_a_benchmark_is_printed_and_can_be_worked_off_from_a_file(ask: Command, tmp_path: Path) -> None:
    shown = ask("show", "digits-smoke").out
    (tmp_path / "mine.yaml").write_text(shown, encoding="utf-8")
    assert shown.startswith("# ")
    assert "12 cells: 12 waiting" in ask("bench", "mine.yaml", "--dry-run").out
