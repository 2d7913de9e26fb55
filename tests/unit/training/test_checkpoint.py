"""What a killed training goes on from."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.training.conftest import Tiny

from falsewitness.core import InputError
from falsewitness.models import Classifier
from falsewitness.training import Checkpoint, Training
from falsewitness.training._checkpoint import Position
from falsewitness.training._descent import Descent

POSITION = Position(epoch=3, step=17, seconds=1.5, passes=1000.25)


MUON = Training(epochs=1, momentum=0.9, muon_learning_rate=0.05)
WITHOUT_MOMENTUM = Training(epochs=1, momentum=0.0)


def descent_of(model: Classifier, settings: Training = MUON) -> Descent:
    return Descent(model.to(memory_format=torch.channels_last), settings)


def stepped(model: Classifier, descent: Descent, steps: int = 1) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        descent.zero_grad()
        model(torch.rand(6, 1, 8, 8, generator=generator)).square().sum().backward()
        descent.step(0.5)


def equal(first: Classifier, second: Classifier) -> bool:
    theirs = second.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in first.state_dict().items())


@pytest.fixture
def saved(tiny: Tiny, tmp_path: Path) -> tuple[Checkpoint, Classifier, Descent]:
    model = tiny()
    descent = descent_of(model)
    stepped(model, descent, steps=2)
    checkpoint = Checkpoint(tmp_path / "folder" / "checkpoint.safetensors", "mine")
    checkpoint.save(POSITION, model, descent)
    return checkpoint, model, descent


Saved = tuple[Checkpoint, Classifier, Descent]


def test_position_weights_and_momenta_come_back(saved: Saved, tiny: Tiny) -> None:
    checkpoint, model, descent = saved
    assert descent.momenta().keys() == dict(model.named_parameters()).keys()
    other = tiny()
    others = descent_of(other)
    assert checkpoint.load(other, others) == POSITION
    assert equal(model, other)
    stepped(model, descent)
    stepped(other, others)
    assert equal(model, other)


def test_momenta_of_a_loaded_training_are_its_own(saved: Saved, tiny: Tiny) -> None:
    checkpoint, *_ = saved
    before = checkpoint.path.read_bytes()
    other = tiny()
    others = descent_of(other)
    checkpoint.load(other, others)
    stepped(other, others)
    assert checkpoint.path.read_bytes() == before


def test_without_a_file_a_training_begins_at_the_beginning(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny()
    assert Checkpoint(tmp_path / "none.safetensors", "mine").load(model, descent_of(model)) == Position(0, 0, 0.0, 0.0)
    assert equal(model, tiny())


def test_the_checkpoint_of_another_training_is_left_alone(saved: Saved, tiny: Tiny) -> None:
    checkpoint, *_ = saved
    model = tiny()
    descent = descent_of(model)
    assert Checkpoint(checkpoint.path, "yours").load(model, descent) == Position()
    assert equal(model, tiny())
    assert not descent.momenta()
    assert checkpoint.path.is_file()


def test_a_training_without_momentum_can_be_kept_too(tiny: Tiny, tmp_path: Path) -> None:
    model = tiny()
    descent = descent_of(model, WITHOUT_MOMENTUM)
    stepped(model, descent)
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", "mine")
    checkpoint.save(POSITION, model, descent)
    other = tiny()
    assert checkpoint.load(other, descent_of(other, WITHOUT_MOMENTUM)) == POSITION
    assert equal(model, other)


def described(identity: str, position: str) -> dict[str, str]:
    return {"sealed": json.dumps({"identity": identity, "position": position})}


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def scribbled_over(path: Path) -> None:
    path.write_bytes(b"no tensors at all")


def robbed_of_a_weight(path: Path) -> None:
    tensors = load_file(path)
    del tensors["model.network.fc.weight"]
    save_file(tensors, path, described("mine", json.dumps(vars(POSITION))))


def of_another_shape(path: Path) -> None:
    tensors = load_file(path) | {"model.network.fc.weight": torch.zeros(3, 3)}
    save_file(tensors, path, described("mine", json.dumps(vars(POSITION))))


def without_position(path: Path) -> None:
    save_file(load_file(path), path, {"sealed": json.dumps({"identity": "mine"})})


def with_half_a_position(path: Path) -> None:
    save_file(load_file(path), path, described("mine", '{"epochs": 3'))


def with_a_strange_position(path: Path) -> None:
    save_file(load_file(path), path, described("mine", '{"epochs": 3}'))


@pytest.mark.parametrize(
    "damage",
    [
        cut_short,
        emptied,
        scribbled_over,
        robbed_of_a_weight,
        of_another_shape,
        without_position,
        with_half_a_position,
        with_a_strange_position,
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_line(saved: Saved, tiny: Tiny, damage: Callable[[Path], None]) -> None:
    checkpoint, *_ = saved
    damage(checkpoint.path)
    model = tiny()
    with pytest.raises(InputError, match=r"is damaged \(\w+\); remove it to begin this training anew") as caught:
        checkpoint.load(model, descent_of(model))
    assert str(checkpoint.path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_equal_trainings_leave_equal_files(tiny: Tiny, tmp_path: Path) -> None:
    for number in range(8):
        model = tiny()
        Checkpoint(tmp_path / f"{number}.safetensors", "mine").save(POSITION, model, descent_of(model))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_full_disk_leaves_the_checkpoint_before(saved: Saved) -> None:
    checkpoint, *_ = saved
    before = checkpoint.path.read_bytes()
    program = """
import sys, torch
from pathlib import Path
from falsewitness.training import Checkpoint
from falsewitness.training import Training
from falsewitness.training._checkpoint import Position
from falsewitness.training._descent import Descent
from falsewitness.core import DataInfo
from falsewitness.models.convnet import ConvNet
model = ConvNet(width=8).bind(DataInfo(1, 8, 8, ("a", "b")), seed=0)
Checkpoint(Path(sys.argv[1]), "mine").save(Position(), model, Descent(model, Training(epochs=1)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, checkpoint.path],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "RunFailedError" in done.stderr.splitlines()[-1]
    assert "File too large; make room" in done.stderr.splitlines()[-1]
    assert checkpoint.path.read_bytes() == before
    assert [file.name for file in checkpoint.path.parent.iterdir()] == ["checkpoint.safetensors"]
