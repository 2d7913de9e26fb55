import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from tests.system.conftest import Command

import falsewitness.experiment
from falsewitness.experiment import find_spec


def put(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seed", "--set: expected a.b=value, got 'seed'"),
        ("=3", "--set: expected a.b=value, got '=3'"),
        ("attack..size=3", "--set: expected a.b=value, got 'attack..size=3'"),
        ("seed=[", "--set seed=[: expected YAML, got a fault in line 1, column 2: "),
        ("seed=1\nprecision: fp32", "--set seed=1\\nprecision: fp32: expected YAML"),
        ("seed=" + "[" * 3000, "--set seed=[[[[[[[[[[[[["),
        ("seed=one", "  seed: expected an integer, got 'one'"),
        ("seed=-1", "  seed: expected a value >= 0, got -1"),
        ("seed=null", "  seed: expected an integer, got null"),
        ("seed=on", "  seed: expected an integer, got true; YAML takes yes, no, on and off for true and false"),
        ("seed=2001-01-01", "  seed: expected an integer, got '2001-01-01'"),
        ("sed=1", "  sed: unknown key (its value is 1); did you mean 'seed'?"),
        ("attack.trigger.szie=4", "  attack.trigger.szie: unknown key (its value is 4); did you mean 'size'?"),
        (
            "auditors=[{kind: gradcam, lyer: x}]",
            "  auditors[0].lyer: unknown key (its value is 'x'); did you mean",
        ),
        ("attack.trigger={knd: patch}", "got {'knd': 'patch'}; did you mean 'kind' by 'knd'?"),
        ("attack.badnets=1", "  attack.badnets: unknown key"),
        ("seed.deep=1", "--set seed.deep: expected a mapping in 'seed', got 0"),
        ("attack.kind=badnet", "  attack: there is no kind 'badnet'; did you mean 'badnets'?"),
        ("attack.trigger.kind=path", "  attack.trigger: there is no kind 'path'; did you mean 'patch'?"),
        ("auditors=[{kind: gradcamm}]", "  auditors[0]: there is no kind 'gradcamm'; did you mean 'gradcam'?"),
        ("auditors=[]", "  auditors: expected at least 1 in the list, got 0"),
        ("metrics=[{kind: disguised}]", "  metrics[0]: there is no kind 'disguised'; did you mean 'disguise'"),
        ("attack.poison.rate=2", "  attack.poison.rate: expected a value <= 1.0, got 2"),
        ("attack.poison.rate=1e-3", "YAML takes 1e-3 for text, write 1.0e-3"),
        ("attack.poison.rate=1.5e3", "YAML takes 1.5e3 for text, write 1.5e+3"),
        (
            "attack.poison.classes=non_targt",
            "expected 'non_target' or 'all', or a list, got 'non_targt'",
        ),
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "attack.trigger.size=32",
            "size: expected a square that leaves something of 32x32 pixels, got all",
        ),
        (
            "auditors=[{kind: gradcam}, {kind: gradcam}]",
            "auditors[1]: expected another than auditors[0], got",
        ),
        ("metrics=[{kind: drift}, {kind: drift}]", "  metrics[1]: expected another than metrics[0], got the same"),
        ("attack.poison.classes=[1, 1]", "  attack.poison.classes: expected different classes, got 1 more than once"),
        ("clean_training.augmentation.crop_padding=32", "  clean_training.augmentation.crop_padding: expected a shift"),
        (
            "auditors=[{kind: gradcam, layer: nowhere}]",
            "auditors[0]: the model has no layer 'nowhere'; expected",
        ),
        ("attack.poison={rate: 0.5, classes: [3]}", "attack.poison.rate: expected at most 0.1"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_trained(
    ask: Command, tmp_path: Path, change: str, message: str
) -> None:
    answer = ask("run", "digits/badnets", "--set", change)
    assert answer.code == 2
    assert message in answer.fault
    assert "training" not in answer.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "change",
    [
        # Images of the target class with the trigger and their own label: a clean-label attack (Turner et al. 2019).
        "attack.poison={rate: 0.05, classes: [3]}",
        # Every class keeps an image on either side, however the share is chosen.
        "data.validation_share=0.999",
        # At most so many: a spec for a large set does for a small one.
        "evaluation={map_samples: 1000000, detector_samples: 1000000}",
        # Whoever wants the maps alone may have them.
        "metrics=[]",
        # A picture of the size of the image lets it shine through; so do the same explainers at different layers.
        "auditors=[{kind: gradcam}, {kind: gradcam, layer: layers.1}]",
    ],
)
def test_what_is_only_unusual_is_taken(change: str) -> None:
    spec = find_spec("digits/badnets", [change])
    assert spec.checked() == spec


def test_a_share_of_nearly_all_leaves_an_image_of_each_class_to_train_on(ask: Command) -> None:
    answer = ask("data", "prepare", "digits", "--set", "validation_share=0.999")
    assert "digits: 10 training, 1428 validation and 359 test images" in answer.out


@pytest.mark.parametrize("name", ["my first spec", "größe", "a\nb", "x" * 200, "-", "..."])
def test_a_spec_may_have_any_file_name(ask: Command, tmp_path: Path, name: str) -> None:
    put(tmp_path, f"{name}.yaml", "base: digits/clean\n")
    answer = ask("show", f"./{name}.yaml")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("name: ")


def test_a_name_longer_than_any_file_may_have_is_one_line(ask: Command) -> None:
    long = "x" * 5000
    for words in (
        ("run", long),
        ("run", "digits/clean", "--set", f"model.pretrained={long}"),
        ("evaluate", long),
        ("explain", "image.png", "--model", long),
        ("explain", long, "--model", "nowhere"),
        ("report", long),
        ("data", "prepare", "image_folder", "--set", f"root={long}"),
    ):
        answer = ask(*words)
        assert (answer.code, answer.out) == (2, "")
        assert len(answer.fault.splitlines()) <= 2
        assert len(answer.err) < 700


@pytest.mark.parametrize("value", [f'"{"x" * 65_000}"', str(list(range(10_000)))])
def test_a_value_that_nearly_fills_the_longest_spec_is_one_short_line(ask: Command, tmp_path: Path, value: str) -> None:
    put(tmp_path, "spec.yaml", f"{{base: digits/clean, sed: {value}}}\n")
    answer = ask("run", "spec.yaml")
    assert (answer.code, answer.out) == (2, "")
    heading, fault = answer.fault.splitlines()
    assert heading.endswith(" has 1 fault:")
    assert "did you mean 'seed'" in fault
    assert len(fault) < 1000


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\nmore"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_a_lack_of_memory_is_told_with_what_to_do(
    ask: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(falsewitness.experiment, "run", fail)
    answer = ask("run", "digits/clean")
    assert answer.code == 1
    assert answer.fault.startswith("there is not enough memory: ")
    assert answer.fault.endswith("take a smaller model, smaller images or a smaller batch_size")
    assert len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("words", [("run", "digits/clean", "--out", "theirs/runs"), ("evaluate", "theirs/run")])
def test_a_place_that_may_not_be_entered_is_told(
    ask: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    look = os.stat

    def stat(path: Any, **how: Any) -> object:  # noqa: ANN401 - as for a user who is not root
        if isinstance(path, str | Path) and Path(path).parts[:1] == ("theirs",):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, **how)

    monkeypatch.setattr(os, "stat", stat)
    answer = ask(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.fault == f"Permission denied: '{words[-1]}'; choose another place, or ask its owner for access"


def test_a_number_of_a_hundred_places_of_sixty_is_told(ask: Command) -> None:
    answer = ask("run", "digits/clean", "--set", "clean_training.learning_rate=1" + ":1" * 200 + ".5")
    assert answer.code == 2
    assert "which is no number" in answer.fault


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
    assert heading == "spec 'mine.yaml' has 5 faults:"
    assert sorted(fault.partition(": ")[0] for fault in faults) == [
        "  attack.poison.rate",
        "  attack.target_class",
        "  auditors[1]",
        "  model.widht",
        "  seed",
    ]


def test_a_part_with_a_faulty_field_is_told_what_of_it_does_not_fit_the_data(ask: Command) -> None:
    faults = ["attack.poison.rat=0.1", "attack.trigger.size=x", "model.strides=[]", "auditors=[{kind: gradien}]"]
    changes = [*faults, "attack.target_class=12"]
    answer = ask("run", "digits/badnets", *(word for change in changes for word in ("--set", change)))
    heading, *lines = answer.fault.splitlines()
    told = {line.partition(":")[0].strip() for line in lines}
    assert told == {
        "attack.poison.rat",
        "attack.trigger.size",
        "model.strides",
        "auditors[0]",
        "attack.target_class",
    }
    assert heading == "spec 'digits/badnets' has 5 faults:"


@pytest.mark.parametrize(
    ("spec", "places"),
    [
        ("{base: digits/badnets, name: {}, attack_training: null}", {"name", "attack_training"}),
        ("{base: digits/badnets, attack_training: {epochs: 0}, name: clean}", {"attack_training.epochs", "name"}),
        ("{base: digits/clean, precision: x, metrics: [{kind: drift}, {kind: drift}]}", {"precision", "metrics[1]"}),
        (
            "{base: digits/badnets, attack: {target_class: 12, poison: {rat: 1}}}",
            {"attack.target_class", "attack.poison.rat"},
        ),
        (
            "{base: digits/red-herring, attack: {target_class: 12, target_mep: square}}",
            {"attack.target_class", "attack.target_mep"},
        ),
        (
            "{base: digits/clean, model: {kind: timm, pretrained: nowhere.safetensors}}",
            {"model.name", "model.pretrained"},
        ),
    ],
)
def test_a_fault_of_form_hides_no_rule_of_what_holds_it(
    ask: Command, tmp_path: Path, spec: str, places: set[str]
) -> None:
    answer = ask("run", put(tmp_path, "mine.yaml", spec))
    assert answer.code == 2
    assert {line.partition(": ")[0].strip() for line in answer.fault.splitlines()[1:]} == places


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
        (b"seed: \xff\xfe\n", "expected YAML in UTF-8, got "),
        (b"base: digits/cleen\n", "base: there is no recipe 'digits/cleen'; did you mean 'digits/clean'"),
        (b"base: [digits/clean]\n", "base: there is no recipe "),
        (b"seed: &a 1\nprecision: *a\n", "an alias (*a), which no spec has"),
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
        (["run", "."], "'.' is a folder; expected a recipe's name or a YAML file"),
        (["run", "/dev/zero"], "'/dev/zero' is a pipe or a device; expected a recipe's name or a YAML file"),
        (["bench", "/dev/zero"], "'/dev/zero' is a pipe or a device; expected a benchmark's name or a YAML file"),
        (["run", "digits/clean", "--device", "gpu"], "--device: expected auto, cpu, cuda or another that is here"),
        (["evaluate", "nowhere"], "there is no 'nowhere'; expected a folder that"),
        (["evaluate", "."], "'.' holds no finished run: expected a file 'spec.yaml', found nothing; name a folder"),
        (["evaluate", "note.txt"], "'note.txt' is no run folder; for a model in a file add --recipe"),
        (["evaluate", "note.txt", "--recipe", "digits/badnets"], "note.txt"),
        (["evaluate", ".", "--auditor", "gradcamm"], "there is no 'gradcamm' among the explainers"),
        (["evaluate", ".", "--recipe", "digits/clean"], "--recipe: leave it out; it is for a model in a file"),
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


def test_data_that_cannot_be_had_offline_is_told(command: Command, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("where", ["taken", "taken/deep/below"])
def test_an_out_folder_that_cannot_be_made_is_told_in_one_line(ask: Command, tmp_path: Path, where: str) -> None:
    put(tmp_path, "taken", "a file in the way")
    answer = ask("run", "digits/clean", "--out", where)
    assert answer.code == 2
    assert answer.fault == f"'{where}' cannot be a folder, 'taken' is a file; choose another folder"
    assert len(answer.fault.splitlines()) == 1
    assert (tmp_path / "taken").read_text() == "a file in the way"
