"""Models that are none: one line that names the file, nothing in it runs, and no more is read than is needed."""

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Tried
from tests.system.conftest import Answer, Command, Finished
from tests.system.limits import little_memory, within
from tests.system.strange_images import noise
from tests.system.strange_models import ENORMOUS, STRANGE, Sound, save_sound

from falsewitness.core import InputError
from falsewitness.models import load_classifier


def refused(answer: Answer, name: str, said: str) -> None:
    assert (answer.code, answer.out) == (2, ""), answer
    assert name in answer.fault
    assert said in answer.fault
    lines = answer.err.splitlines()
    assert len(lines) == 1 or lines[0].endswith((" fault:", " faults:"))
    assert all(line.isprintable() and len(line) < 1000 for line in lines)


@pytest.mark.parametrize("kind", STRANGE)
def test_a_file_that_is_no_sound_model_is_refused(ask: Command, tmp_path: Path, kind: str, tried: Tried) -> None:
    make, said = STRANGE[kind]
    (tmp_path / "model.safetensors").write_bytes(make(Sound(tmp_path)))
    noise().save(tmp_path / "image.png")
    before = sorted(tmp_path.iterdir())
    started = time.process_time()
    for words in (
        ("explain", "image.png", "--model", "model.safetensors"),
        ("evaluate", "model.safetensors", "--recipe", "digits/badnets"),
    ):
        refused(ask(*words), "model.safetensors", said)
    assert time.process_time() - started < 20
    assert sorted(tmp_path.iterdir()) == before
    tried("bad inputs", "models", 2)


FOR_A_START = ["no number", "a weight of another shape", "64 bits", "half of the data", "a header of 4 exabytes"]


@pytest.mark.parametrize("kind", FOR_A_START)
def test_weights_to_start_from_are_refused_before_anything_is_trained(
    ask: Command, tmp_path: Path, kind: str, tried: Tried
) -> None:
    (tmp_path / "model.safetensors").write_bytes(STRANGE[kind][0](Sound(tmp_path)))
    like_it = ("--set", "model.width=4", "--set", "model.strides=[2, 2]")
    answer = ask("run", "digits/clean", *like_it, "--set", "model.pretrained=model.safetensors")
    assert answer.code == 2
    assert "  model.pretrained: model.safetensors" in answer.fault
    assert not (tmp_path / "runs").exists()
    tried("bad inputs", "models")


PICKLES = ["a pickle that runs a program", "an old pickle that runs a program", "PyTorch's archive that runs a program"]


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.pth", "model.bin", "model", "model.png"])
@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_is_not_run_whatever_its_name(
    ask: Command, tmp_path: Path, kind: str, name: str, tried: Tried
) -> None:
    (tmp_path / name).write_bytes(STRANGE[kind][0](Sound(tmp_path)))
    noise().save(tmp_path / "image.png")
    refused(ask("explain", "image.png", "--model", name), name, "expected a safetensors file, got ")
    answer = ask("run", "digits/clean", "--set", f"model.pretrained={name}")
    assert answer.code == 2
    assert f"  model.pretrained: {name}: expected a safetensors file, got " in answer.fault
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["image.png", name])
    tried("bad inputs", "models", 2)


@pytest.mark.parametrize("kind", ENORMOUS)
def test_a_file_of_10_gigabytes_is_not_read_whole(ask: Command, tmp_path: Path, kind: str, tried: Tried) -> None:
    put, said = ENORMOUS[kind]
    put(tmp_path / "model.safetensors")
    noise().save(tmp_path / "image.png")
    words = ("explain", "image.png", "--model", "model.safetensors")
    ask(*words)
    started = time.process_time()
    with little_memory(100):
        refused(ask(*words), "model.safetensors", said)
    assert time.process_time() - started < 2
    tried("bad inputs", "models")


@pytest.mark.parametrize("kind", ["a network of 3 GB", "an absurd depth", "an absurd size"])
def test_no_memory_is_taken_for_weights_that_are_not_there(ask: Command, tmp_path: Path, kind: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(STRANGE[kind][0](Sound(tmp_path)))
    words = ("evaluate", "model.safetensors", "--recipe", "digits/badnets")
    ask(*words)
    with little_memory(200):
        assert ask(*words).code == 2


def test_what_is_no_file_is_refused(ask: Command, tmp_path: Path, tried: Tried) -> None:
    noise().save(tmp_path / "image.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "circle").symlink_to("circle")
    names = ["pipe", "folder", "dangling", "circle", "missing", "/dev/zero", "/dev/null", "x" * 5000]
    for name in names:
        with within(30):
            for words in (("explain", "image.png", "--model", name), ("evaluate", name, "--recipe", "digits/badnets")):
                answer = ask(*words)
                assert (answer.code, answer.out) == (2, ""), answer
                assert len(answer.err.splitlines()) == 1
                assert len(answer.err) < 400
    tried("bad inputs", "models", 2 * len(names))


def test_run_folders_of_other_kinds_are_refused(ask: Command, finished: Finished, tmp_path: Path, tried: Tried) -> None:
    noise().save(tmp_path / "image.png")
    refused(
        ask("explain", "image.png", "--stamp", "--model", next(finished.runs.glob("clean-*"))),
        "clean-",
        "is no run with an attack, so there is no trigger to stamp",
    )
    refused(ask("explain", "image.png", "--model", finished.runs), "model.safetensors", "holds no model; expected")
    for role in ("clean", "control"):
        answer = ask("evaluate", next(finished.runs.glob(f"{role}-*")))
        assert answer.code == 2, answer
        assert len(answer.err.splitlines()) == 1
    tried("bad inputs", "models", 4)


@pytest.mark.parametrize(
    ("recipe", "got"),
    [("mnist/badnets", "28x28x1 images in 10 classes"), ("cifar10/badnets", "32x32x3 images in 10 classes")],
)
def test_a_model_of_another_data_set_is_refused_before_anything_is_trained(
    ask: Command, tmp_path: Path, recipe: str, got: str, tried: Tried
) -> None:
    """The set itself need not be there: what its images are like is known."""
    save_sound(tmp_path / "model.safetensors")
    refused(ask("evaluate", "model.safetensors", "--recipe", recipe), "model.safetensors", f"expected one for {got}")
    assert not (tmp_path / "runs").exists()
    tried("bad inputs", "models")


EXPLAIN = ("explain", "image.png", "--model", "model.safetensors")


def test_a_model_that_was_cut_short_is_refused_wherever_it_was(ask: Command, tmp_path: Path, tried: Tried) -> None:
    noise().save(tmp_path / "image.png")
    path = save_sound(tmp_path / "model.safetensors")
    content = path.read_bytes()
    lengths = {*range(0, 64), *range(0, len(content), len(content) // 150), len(content) - 1}
    for length in lengths:
        path.write_bytes(content[:length])
        refused(ask(*EXPLAIN), "model.safetensors", "expected a")
    tried("bad inputs", "models", len(lengths))


def test_a_model_that_was_scribbled_on_is_refused_or_finite_and_of_its_architecture(
    ask: Command, tmp_path: Path, tried: Tried
) -> None:
    noise().save(tmp_path / "image.png")
    path = save_sound(tmp_path / "model.safetensors")
    sound, content = load_classifier(path), path.read_bytes()
    weights_begin = 8 + int.from_bytes(content[:8], "little")
    seen = Counter[str]()

    def edits(first: int, last: int) -> st.SearchStrategy[list[tuple[int, int]]]:
        return st.lists(st.tuples(st.integers(first, last), BYTES), min_size=1, max_size=4)

    @settings(max_examples=500)
    @given(edits(0, 7) | edits(8, weights_begin - 1) | edits(weights_begin, len(content) - 1))
    def each(edits: list[tuple[int, int]]) -> None:
        spoilt = bytearray(content)
        for place, value in edits:
            spoilt[place] = value
        path.write_bytes(spoilt)
        try:
            model = load_classifier(path)
        except InputError as error:
            seen["refused"] += 1
            refused(ask(*EXPLAIN), "model.safetensors", str(error).rpartition(str(path))[2].partition("\n")[0])
            return
        seen["taken"] += 1
        assert model.architecture == sound.architecture
        assert model.info is not None
        assert len(model.info.class_names) == 10
        assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
        untouched = all(place < weights_begin for place, _ in edits)
        if untouched:
            assert all(found.equal(sound.state_dict()[name]) for name, found in model.state_dict().items())

    each()
    assert min(seen["refused"], seen["taken"]) > 20
    tried("bad inputs", "models", seen["refused"])


BYTES = st.integers(0, 255) | st.sampled_from(list(b'0123456789"{}[],:abcdef'))
