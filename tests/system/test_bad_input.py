import pickle
import time
from pathlib import Path

import pytest
from tests.system.conftest import Command


def put(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seed", "--set: expected a.b=value, got 'seed'"),
        ("=3", "--set: expected a.b=value, got '=3'"),
        ("seed=[", "--set seed=[': expected YAML"),
        ("seed=one", "  seed: expected an integer, got 'one'"),
        ("seed=-1", "  seed: expected a value >= 0, got -1"),
        ("sed=1", "  sed: unknown key"),
        ("seed.deep=1", "  seed: expected a mapping to set 'seed.deep' in, got 0"),
        ("attack.kind=badnet", "  attack: there is no kind 'badnet'; did you mean 'badnets'?"),
        ("attack.trigger.kind=path", "  attack.trigger: there is no kind 'path'; did you mean 'patch'?"),
        ("auditors=[{kind: gradcamm}]", "  auditors[0]: there is no kind 'gradcamm'; did you mean 'gradcam'?"),
        ("auditors=[]", "  auditors: expected at least 1 in the list, got 0"),
        ("metrics=[{kind: disguised}]", "  metrics[0]: there is no kind 'disguised'; did you mean 'disguise'"),
        ("attack.poison.rate=2", "  attack.poison.rate: expected a value <= 1.0, got 2"),
        ("attack.poison.rate=1e-3", "YAML takes 1e-3 for text, write 1.0e-3"),
        ("attack.trigger.size=99", "  attack.trigger.size: "),
        ("attack.target_class=10", "  attack.target_class: expected a class from 0 to 9, got 10"),
        ("attack_training=null", "  attack_training: missing; an attack needs to be told how it is trained"),
        ("name=../../out", "  name: expected letters, digits"),
        ("data.train_limit=3", "  data.train_limit: expected at least one image a class (10), got 3"),
    ],
)
def test_a_bad_change_is_answered_with_its_place_and_what_was_expected(
    ask: Command, tmp_path: Path, change: str, message: str
) -> None:
    answer = ask("run", "digits/badnets", "--set", change)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.fault
    assert not (tmp_path / "runs").exists()


def test_all_faults_of_a_spec_are_told_at_once(ask: Command, tmp_path: Path) -> None:
    spec = """
base: digits/badnets
seed: -1
attack: {target_class: 11, poison: {rate: 0}}
model: {widht: 8}
auditors: [{kind: gradcam}, {kind: gradien}]
"""
    answer = ask("run", put(tmp_path, "mine.yaml", spec))
    assert answer.code == 2
    heading, *faults = answer.fault.splitlines()
    assert heading == "spec 'mine.yaml' has 4 faults:"
    assert sorted(fault.partition(": ")[0] for fault in faults) == [
        "  attack.poison.rate",
        "  auditors[1]",
        "  model.widht",
        "  seed",
    ]


def test_all_parts_that_do_not_fit_the_data_are_told_at_once(ask: Command, tmp_path: Path) -> None:
    changes = ["--set", "attack.target_class=11", "--set", "attack.trigger.size=40", "--set", "data.train_limit=2"]
    answer = ask("run", "digits/badnets", *changes)
    assert answer.code == 2
    assert len(answer.fault.splitlines()) == 4
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a mapping of keys to values, got "),
        (b"- a\n- b\n", "expected a mapping of keys to values, got "),
        (b"seed: [1\n", "expected YAML, got "),
        (b"seed: \xff\xfe\n", "expected a YAML file in UTF-8, got "),
        (b"base: digits/cleen\n", "base: there is no recipe 'digits/cleen'; did you mean 'digits/clean'"),
        (b"base: [digits/clean]\n", "base: there is no recipe "),
        (b"seed: &a 1\nprecision: *a\n", "expected YAML without aliases"),
        (b"x: !!python/object/apply:os.system ['touch pwned']\n", "expected YAML, got "),
    ],
)
def test_a_bad_spec_file_is_answered_with_one_line(ask: Command, tmp_path: Path, content: bytes, message: str) -> None:
    answer = ask("run", put(tmp_path, "mine.yaml", content))
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1
    assert answer.fault.startswith("spec 'mine.yaml': ")
    assert message in answer.fault
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "nowhere.yaml"], "there is no recipe and no file 'nowhere.yaml'"),
        (["run", "."], "there is no recipe and no file '.'"),
        (["run", "digits/clean", "--device", "gpu"], "--device: expected auto, cpu, cuda or another that is here"),
        (["evaluate", "nowhere"], "there is no run folder and no file 'nowhere'"),
        (["evaluate", "."], "'.' holds no finished run"),
        (["evaluate", "note.txt"], "'note.txt' is no run folder; for a model in a file add --recipe"),
        (["evaluate", "note.txt", "--recipe", "digits/badnets"], "note.txt"),
        (["evaluate", ".", "--auditor", "gradcamm"], "there is no 'gradcamm' among the explainers"),
        (["evaluate", ".", "--set", "seed=1"], "--recipe and --set are for a model in a file"),
        (["explain", "note.txt", "--model", "nowhere"], "nowhere"),
        (["explain", "note.txt", "--model", "."], "model.safetensors"),
        (["explain", "note.txt", "--model", "note.txt"], "note.txt"),
        (["report", "nowhere"], "'nowhere' holds no run; expected a folder that `falsewitness run` has written"),
        (["report", "note.txt"], "'note.txt' holds no run"),
        (["data", "prepare", "image_folder"], "root: missing; a value is required"),
        (["data", "check", "image_folder", "--set", "root=nowhere"], "data.root: no folder"),
        (["data", "prepare", "digits", "--set", "test_share=2"], "test_share: expected a value < 1.0, got 2"),
    ],
)
def test_what_is_missing_or_of_another_kind_is_named(
    ask: Command, tmp_path: Path, words: list[str], message: str
) -> None:
    put(tmp_path, "note.txt", "not what was asked for")
    answer = ask(*words)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.fault


def test_a_pickle_is_refused_as_a_model_and_not_run(ask: Command, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    put(tmp_path, "model.safetensors", pickle.dumps(Trap()))
    put(tmp_path, "model.pt", pickle.dumps(Trap()))
    put(tmp_path, "image.png", b"")
    for model in ("model.safetensors", "model.pt"):
        for words in (["explain", "image.png", "--model", model], ["evaluate", model, "--recipe", "digits/badnets"]):
            answer = ask(*words)
            assert answer.code == 2
            assert len(answer.fault.splitlines()) == 1
    assert not (tmp_path / "sprung").exists()


def test_data_that_cannot_be_had_offline_is_told_within_seconds(command: Command, tmp_path: Path) -> None:
    started = time.monotonic()
    answer = command(
        tmp_path,
        *("run", "mnist/badnets"),
        HF_HUB_OFFLINE="1",
        HF_HOME=str(tmp_path / "hub"),
        FALSEWITNESS_DATA=str(tmp_path),
        FALSEWITNESS_CACHE=str(tmp_path / "cache"),
    )
    assert answer.code == 2
    assert len(answer.fault.splitlines()) == 1
    assert "not on this machine, and the Hugging Face hub cannot be reached (offline mode is on)" in answer.fault
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("where", ["taken", "taken/deep/below"])
def test_an_out_folder_that_cannot_be_made_is_told_in_one_line(ask: Command, tmp_path: Path, where: str) -> None:
    put(tmp_path, "taken", "a file in the way")
    answer = ask("run", "digits/clean", "--out", where)
    assert answer.code == 1
    assert "choose another folder with --out" in answer.fault
    assert len(answer.fault.splitlines()) == 1
    assert (tmp_path / "taken").read_text() == "a file in the way"
