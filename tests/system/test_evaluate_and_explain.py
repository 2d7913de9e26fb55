import json
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.system.conftest import SMALL, Answer, Command, Finished, only, without_times

MY_EXPLAINER = '''
from typing import Literal
import torch
from falsewitness.core.explanation import Explanation
from falsewitness.explainers import Explainer
from falsewitness.explainers.gradcam import GradCam

class MyCam(Explainer):
    """The mean of the last feature map."""
    kind: Literal["my_cam"] = "my_cam"
    def _explain(self, subject, images, classes, *, differentiable):
        logits, features = subject.model.with_activation(images, None)
        return Explanation(logits, features.mean(1).relu())

class Raising(Explainer):
    kind: Literal["raising"] = "raising"
    def _explain(self, subject, images, classes, *, differentiable):
        raise KeyError("a line\\nand another")

class Leaving(Explainer):
    kind: Literal["leaving"] = "leaving"
    def _explain(self, subject, images, classes, *, differentiable):
        raise SystemExit(0)

class Lying(MyCam):
    kind: Literal["lying"] = "lying"
    def _explain(self, subject, images, classes, *, differentiable):
        said = super()._explain(subject, images, classes, differentiable=differentiable)
        return Explanation(-said.logits, said.maps)

class NotFinite(Explainer):
    kind: Literal["not_finite"] = "not_finite"
    def _explain(self, subject, images, classes, *, differentiable):
        return Explanation(subject.model(images), torch.full((len(images), 4, 4), float("nan")))

class WrongShape(Explainer):
    kind: Literal["wrong_shape"] = "wrong_shape"
    def _explain(self, subject, images, classes, *, differentiable):
        return Explanation(subject.model(images), images)

class Complex(Explainer):
    kind: Literal["complex"] = "complex"
    def _explain(self, subject, images, classes, *, differentiable):
        return Explanation(subject.model(images), torch.zeros(len(images), 4, 4, dtype=torch.complex64))

class WrongType(Explainer):
    kind: Literal["wrong_type"] = "wrong_type"
    def _explain(self, subject, images, classes, *, differentiable):
        return None

class Unwritten(Explainer):
    kind: Literal["unwritten"] = "unwritten"

class Nameless(Explainer):
    def _explain(self, subject, images, classes, *, differentiable):
        raise NotImplementedError

class Demanding(MyCam):
    kind: Literal["demanding"] = "demanding"
    depth: int

class Stranger:
    pass

class Passing(GradCam):
    """Would be called like the explainer that it extends."""
'''


@pytest.fixture
def runs(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished runs, to write beside."""
    shutil.copytree(finished.runs, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def attack(runs: Path) -> Path:
    return only(runs, "digits-badnets-*")


@pytest.fixture(autouse=True)
def _own_modules_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command imports from its folder must not stay for the next test."""
    import sys

    before, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]
    sys.path[:] = path


def test_an_explainer_of_ones_own_judges_a_finished_run_without_training(
    ask: Command, attack: Path, tmp_path: Path
) -> None:
    (tmp_path / "my_explainer.py").write_text(MY_EXPLAINER)
    answer = ask("evaluate", attack, "--auditor", "my_explainer:MyCam", "--auditor", "gradcam")
    assert answer.code == 0, answer.err
    assert "training" not in answer.out
    assert all(f"\nby {auditor} " in answer.out for auditor in ("gradcam", "gradient", "my_cam"))
    evaluation = only(attack, "evaluations/gradcam-gradient-my_cam-*")
    measured = json.loads((evaluation / "result.json").read_text())["measurements"]
    assert {found["auditor"] for found in measured} == {None, "gradcam", "gradient", "my_cam"}
    assert answer.out.endswith(f"report: {evaluation}/report.html\n")
    again = ask("evaluate", attack, "--auditor", "my_explainer:MyCam")
    assert "auditing" not in again.out


@pytest.mark.slow
def test_the_command_as_typed_finds_a_module_in_the_current_folder(
    command: Command, attack: Path, tmp_path: Path
) -> None:
    (tmp_path / "my_explainer.py").write_text(MY_EXPLAINER)
    answer = command(tmp_path, "evaluate", attack, "--auditor", "my_explainer:MyCam")
    assert (answer.code, answer.err) == (0, "")
    assert "by my_cam" in answer.out


@pytest.mark.parametrize(
    ("place", "code", "message"),
    [
        ("my_explainer:Raising", 1, "auditor 'raising' failed with KeyError: 'a line\\nand another' ("),
        ("my_explainer:Leaving", 1, "auditor 'leaving' failed with SystemExit"),
        ("my_explainer:NotFinite", 1, "auditor 'not_finite' failed with ValueError: expected finite maps, got "),
        ("my_explainer:WrongShape", 1, "auditor 'wrong_shape' failed with ValueError: expected maps ["),
        ("my_explainer:WrongType", 1, "auditor 'wrong_type' failed with "),
        ("my_explainer:Unwritten", 2, "expected a class with a method _explain"),
        ("my_explainer:Nameless", 2, "expected a subclass of "),
        ("my_explainer:Stranger", 2, "expected a subclass of "),
        ("my_explainer:Passing", 2, "explainer my_explainer:Passing: expected a kind of its own, got 'gradcam', which"),
        ("my_explainer:Demanding", 2, "depth: missing; a value is required"),
        ("my_explainer:Raisin", 2, "there is no class 'Raisin' in 'my_explainer'; did you mean 'Raising'"),
        ("my_missing:MyCam", 2, "there is no module 'my_missing'; expected package.module:Class"),
        ("my_broken:MyCam", 2, "'my_broken' raised SyntaxError: "),
        ("my_exit:MyCam", 2, "'my_exit' raised SystemExit: 3 ("),
        ("my_moody:MyCam", 2, "'my_moody' raised RuntimeError: never ("),
        (
            "my_explainer:Complex",
            1,
            "failed with ValueError: expected maps of floating-point numbers, got torch.complex64",
        ),
        ("my_importer:MyCam", 2, "'my_importer' raised ModuleNotFoundError: No module named 'my_missing' ("),
        (":", 2, "expected package.module:Class"),
    ],
)
def test_an_explainer_that_is_none_or_fails_is_named_in_one_message(
    ask: Command, attack: Path, tmp_path: Path, place: str, code: int, message: str
) -> None:
    (tmp_path / "my_explainer.py").write_text(MY_EXPLAINER)
    (tmp_path / "my_broken.py").write_text("x = = 1")
    (tmp_path / "my_exit.py").write_text("raise SystemExit(3)")
    (tmp_path / "my_moody.py").write_text("def __getattr__(name):\n    raise RuntimeError('never')")
    (tmp_path / "my_importer.py").write_text("import my_missing")
    answer = ask("evaluate", attack, "--auditor", place)
    assert answer.code == code
    assert message in answer.fault


def test_a_failing_explainer_is_told_with_the_line_that_failed(ask: Command, attack: Path, tmp_path: Path) -> None:
    (tmp_path / "my_explainer.py").write_text(MY_EXPLAINER)
    line = MY_EXPLAINER.splitlines().index('        raise KeyError("a line\\nand another")') + 1
    answer = ask("evaluate", attack, "--auditor", "my_explainer:Raising")
    assert answer.fault.endswith(f"({tmp_path}/my_explainer.py, line {line})")


def test_auditors_that_cannot_explain_the_model_are_told_before_any_works(ask: Command, attack: Path) -> None:
    answer = ask("evaluate", attack, "--auditor", "attention_rollout", "--auditor", "{kind: gradcam, layer: nowhere}")
    assert (answer.code, "auditing" in answer.out) == (2, False)
    assert "has 2 faults:" in answer.fault
    assert all(f"auditor '{name}': " in answer.fault for name in ("attention_rollout", "gradcam (layer nowhere)"))
    assert not (attack / "evaluations").exists()


def test_a_model_in_a_file_is_judged_by_a_recipe(ask: Command, attack: Path, tmp_path: Path) -> None:
    shutil.copy(attack / "model.safetensors", tmp_path / "stranger.safetensors")
    answer = ask("evaluate", "stranger.safetensors", "--recipe", "digits/badnets", *SMALL, "--auditor", "gradient")
    assert answer.code == 0, answer.err
    assert "training" not in answer.out, "the clean model is there already"
    page = only(tmp_path, "runs/model-stranger-*/evaluations/*/report.html")
    for place, models in ((page.parents[2], 1), ("runs", 2)):
        told = ask("report", place, "--out", "all.html")
        assert (told.code, told.err) == (0, "")
        assert told.out.count("\ndigits/badnets") == 3 * models, "a line of the model, one of each auditor"
        assert told.out.count("\ndigits/badnets, model stranger.safetensors") == 3, (
            "not to be taken for the recipe's own"
        )


def test_a_clean_model_that_is_trained_for_a_comparison_alone_is_not_missed(
    ask: Command, attack: Path, tmp_path: Path
) -> None:
    shutil.copy(attack / "model.safetensors", tmp_path / "stranger.safetensors")
    answer = ask("evaluate", "stranger.safetensors", "--recipe", "digits/badnets", *SMALL, "--out", "fresh")
    assert (answer.code, answer.err) == (0, "")
    assert "training clean model" in answer.out
    told = ask("report", only(tmp_path, "fresh/model-*"))
    assert (told.code, told.err) == (0, "")


def test_a_model_for_other_data_is_refused(ask: Command, attack: Path, tmp_path: Path) -> None:
    for name in ("train/a", "train/b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(8):
            Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name / f"{index}.png")
    data = ["--set", "data={kind: image_folder, root: photos, size: 16}", "--set", "attack.target_class=1"]
    answer = ask("evaluate", attack / "model.safetensors", "--recipe", "digits/badnets", *data)
    assert answer.code == 2
    assert "expected one for 16x16x3 images in 2 classes as in 'digits/badnets', got one for 32x32x1" in answer.fault


def test_a_run_that_lost_its_clean_model_cannot_be_judged(ask: Command, runs: Path, attack: Path) -> None:
    shutil.rmtree(only(runs, "clean-*"))
    answer = ask("evaluate", attack, "--auditor", "gradient")
    assert answer.code == 2
    assert "there is no finished clean model of 'digits/badnets'" in answer.fault


@pytest.mark.parametrize("role", ["clean", "control"])
def test_only_an_attack_can_be_judged(ask: Command, runs: Path, role: str) -> None:
    answer = ask("evaluate", only(runs, f"{role}-*"), "--auditor", "gradient")
    assert answer.code == 2
    assert len(answer.fault.splitlines()) == 1


def size_of_png(file: Path) -> tuple[int, int]:
    width, height = struct.unpack(">II", file.read_bytes()[16:24])
    return width, height


def draw(folder: Path) -> list[str]:
    """Images of several formats, sizes and colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "wide.png")
    Image.fromarray(pixels[:8, :8]).save(folder / "tiny.jpg")
    Image.fromarray(pixels[..., 0]).save(folder / "grey $1$ <b>.bmp")
    Image.fromarray(pixels).convert("RGBA").save(folder / "clear.webp")
    return ["wide.png", "tiny.jpg", "grey $1$ <b>.bmp", "clear.webp"]


def explained(ask: Command, folder: Path, *words: object) -> Answer:
    answer = ask("explain", *draw(folder), *words)
    assert (answer.code, answer.err) == (0, ""), answer.err
    return answer


def test_images_of_any_kind_are_explained_in_one_picture(ask: Command, finished: Finished, tmp_path: Path) -> None:
    answer = explained(ask, tmp_path, "--model", finished.attack)
    told = {line.partition(": ")[0]: line.partition(": ")[2] for line in answer.out.splitlines()}
    names = draw(tmp_path)
    assert all(told[name][0].isdigit() and told[name].endswith("%)") for name in names)
    assert told["image 'wide.png'"].endswith("resized to the model's 32x32")
    assert told["picture"] == "explanation.png"
    width, height = size_of_png(tmp_path / "explanation.png")
    assert height > 1.8 * width, "four rows of an image and a map each"


def test_the_trigger_is_shown_beside_each_image_on_demand(ask: Command, finished: Finished, tmp_path: Path) -> None:
    explained(ask, tmp_path, "--model", finished.attack)
    plain = size_of_png(tmp_path / "explanation.png")
    answer = explained(ask, tmp_path, "--model", finished.attack, "--stamp")
    assert answer.out.count(", triggered: ") == 4
    width, height = size_of_png(tmp_path / "explanation.png")
    assert width == plain[0]
    assert 1.9 < height / plain[1] < 2, "twice the rows above one legend"


def test_every_explainer_asked_for_has_its_column(ask: Command, finished: Finished, tmp_path: Path) -> None:
    explained(ask, tmp_path, "--model", finished.attack, "--out", "one.png")
    both = ["--explainer", "gradcam", "--explainer", "gradient"]
    explained(ask, tmp_path, "--model", finished.attack / "model.safetensors", *both, "--out", "deep/two.png")
    (one, height), two = size_of_png(tmp_path / "one.png"), size_of_png(tmp_path / "deep" / "two.png")
    assert two == (one * 3 // 2, height)


def test_an_explainer_of_ones_own_draws_the_classes_asked_for(ask: Command, finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "my_explainer.py").write_text(MY_EXPLAINER)
    words = ["--model", finished.attack, "--explainer", "my_explainer:MyCam"]
    explained(ask, tmp_path, *words, "--out", "one.png")
    explained(ask, tmp_path, *words, "--class", "3", "--class", "7", "--out", "two.png")
    one, two = size_of_png(tmp_path / "one.png"), size_of_png(tmp_path / "two.png")
    assert two == (one[0] * 3 // 2, one[1])


def test_the_prediction_is_the_models_whatever_an_explainer_says(
    ask: Command, finished: Finished, tmp_path: Path
) -> None:
    (tmp_path / "my_explainer.py").write_text(MY_EXPLAINER)
    words = ["--model", finished.attack, "--explainer"]
    honest, lying = (explained(ask, tmp_path, *words, f"my_explainer:{name}").out for name in ("MyCam", "Lying"))
    assert without_times(lying) == without_times(honest)


def test_images_of_one_name_are_told_apart(ask: Command, finished: Finished, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        draw(tmp_path / folder)
    answer = ask("explain", "one/wide.png", "two/wide.png", "one/tiny.jpg", "--model", finished.attack)
    assert answer.code == 0, answer.err
    told = [line.partition(": ")[0] for line in answer.out.splitlines()]
    assert told[-4:] == ["one/wide.png", "two/wide.png", "tiny.jpg", "picture"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.png"], "image 'none.png': expected an image file, got 'No such file or directory'; check the path"),
        (["note.png"], "image 'note.png': expected an image, got something else"),
        (["wide.png", "--class", "cat"], "--class: there is no class 'cat'; expected one of 0, 1, 2"),
        (
            ["wide.png", "--explainer", "my_nothing:MyCam"],
            "--explainer my_nothing:MyCam: there is no module 'my_nothing'; expected package.module:Class",
        ),
        (["wide.png", "--explainer", "gradcamm"], "there is no 'gradcamm' among the explainers; did you mean"),
    ],
)
def test_what_cannot_be_explained_is_named(
    ask: Command, finished: Finished, tmp_path: Path, words: list[str], message: str
) -> None:
    draw(tmp_path)
    (tmp_path / "note.png").write_text("no image")
    answer = ask("explain", *words, "--model", finished.attack)
    assert (answer.code, answer.out) == (2, "")
    assert answer.fault.startswith(message)
    assert not (tmp_path / "explanation.png").exists()


def test_a_model_without_a_run_has_no_trigger_to_stamp(ask: Command, finished: Finished, tmp_path: Path) -> None:
    draw(tmp_path)
    for model in (finished.attack / "model.safetensors", only(finished.runs, "clean-*")):
        answer = ask("explain", "wide.png", "--model", model, "--stamp")
        assert answer.code == 2
        assert "so there is no trigger to stamp" in answer.fault


def test_a_picture_takes_the_place_of_an_older_one_alone(ask: Command, finished: Finished, tmp_path: Path) -> None:
    draw(tmp_path)
    (tmp_path / "wide.png").rename(tmp_path / "photo.png")
    shutil.copy(tmp_path / "photo.png", tmp_path / "other.png")
    shutil.copy(finished.attack / "model.safetensors", tmp_path / "model.safetensors")
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe")
    before = {name: (tmp_path / name).read_bytes() for name in ("photo.png", "other.png", "model.safetensors")}
    explain = ("explain", "photo.png", "--model", "model.safetensors", "--out")
    for name in ("photo.png", "other.png", "model.safetensors"):
        assert ask(*explain, name).fault.startswith(f"'{name}' is there and no picture that falsewitness has made")
    assert ask(*explain, "pipe").fault.startswith("'pipe' is a pipe or a device, so it is not replaced; choose another")
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    for name in ("empty.png", "new.png", "new.png"):
        assert ask(*explain, name).code == 0
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    answer = ask("explain", "new.png", "--model", "model.safetensors", "--out", "new.png")
    assert answer.fault.startswith("--out: 'new.png' is an image to explain; choose another")
