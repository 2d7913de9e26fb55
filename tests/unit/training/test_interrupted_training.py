"""Trainings that are killed or diverge: what is kept, and how they go on."""

from pathlib import Path

import pytest
import torch
from tests.unit.training.conftest import SETTINGS, KilledError, Notebook, Painted, State, Tiny, same, state_of, trained

from falsewitness.attacks import Batch, Losses, LossTerm
from falsewitness.training import Checkpoint
from falsewitness.training._descent import Descent


@pytest.mark.parametrize("interrupt_at", [1, 3, 4, 6, 8, 9])
def test_an_interrupted_training_ends_with_the_weights_and_steps_of_an_undisturbed_one(
    tiny: Tiny, painted: Painted, tmp_path: Path, interrupt_at: int
) -> None:
    store, undisturbed, first, second = painted(24), Notebook(), Notebook(interrupt_at), Notebook()
    model = tiny()
    whole = trained(model, store, tmp_path / "undisturbed", notebook=undisturbed)
    with pytest.raises(KilledError):
        trained(tiny(), store, tmp_path / "disturbed", notebook=first)
    torch.manual_seed(interrupt_at)
    resumed = tiny()
    outcome = trained(resumed, store, tmp_path / "disturbed", notebook=second)
    epochs_kept = (interrupt_at - 1) // 3
    assert second.progress[0] == (3 * epochs_kept + 1, 9)
    assert second.held == [f"until epoch {epochs_kept - 1}" if epochs_kept else ""]
    assert same(state_of(resumed), state_of(model))
    assert first.records[: 4 * epochs_kept] + second.records == undisturbed.records
    assert (outcome.position.step, outcome.position.passes) == (whole.position.step, whole.position.passes)


def test_a_finished_training_is_not_trained_again(tiny: Tiny, painted: Painted, tmp_path: Path) -> None:
    store, model, notebook = painted(24), tiny(), Notebook()
    first = trained(model, store, tmp_path)
    again = tiny()
    assert trained(again, store, tmp_path, notebook=notebook) == first
    assert notebook.progress == []
    assert same(state_of(again), state_of(model))


def test_the_checkpoint_of_another_training_is_ignored(tiny: Tiny, painted: Painted, tmp_path: Path) -> None:
    store, model, other = painted(24), tiny(), tiny()
    trained(model, store, tmp_path / "alone")
    with pytest.raises(KilledError):
        trained(tiny(), store, tmp_path / "shared", notebook=Notebook(8), identity="yours")
    trained(other, store, tmp_path / "shared", identity="mine")
    assert same(state_of(other), state_of(model))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("wrong_at", [0, 2, 4, 8])
def test_a_loss_that_is_not_finite_stops_before_its_step(
    tiny: Tiny, painted: Painted, tmp_path: Path, wrong: float, wrong_at: int
) -> None:
    model, notebook = tiny(), Notebook()
    before: list[State] = []

    def losses(batch: Batch) -> Losses:
        before.append({name: weight.detach().clone() for name, weight in model.named_parameters()})
        rows = batch.targets.loss(model(batch.images))
        return Losses(
            (LossTerm("cross_entropy", 1.0, rows * (wrong if len(before) == wrong_at + 1 else 1)),), len(rows)
        )

    outcome = trained(model, painted(24), tmp_path, notebook=notebook, losses=losses)
    epochs = wrong_at // 3
    assert outcome.status == "diverged"
    assert outcome.reason == f"the loss was {wrong} at step {wrong_at} of 9 (epoch {epochs})"
    assert same({name: weight.detach() for name, weight in model.named_parameters()}, before[-1])
    assert (outcome.position.epoch, outcome.position.step) == (epochs, 3 * epochs)
    assert notebook.epochs == list(range(epochs))
    _assert_kept(tmp_path, tiny, before[3 * epochs] if epochs else None)


def _assert_kept(path: Path, tiny: Tiny, weights: State | None) -> None:
    """Assert that the checkpoint holds these weights; that there is none where None."""
    checkpoint = Checkpoint(path / "checkpoint.safetensors", "mine")
    if weights is None:
        assert not checkpoint.path.exists()
        return
    model = tiny()
    checkpoint.load(model, Descent(model, SETTINGS))
    assert same({name: weight.detach() for name, weight in model.named_parameters()}, weights)


@pytest.mark.parametrize("steps", [5, 6])
def test_weights_that_are_not_finite_are_never_kept(tiny: Tiny, painted: Painted, tmp_path: Path, steps: int) -> None:
    """The loss before the last step of an epoch was still finite, so that only the weights tell."""
    model, notebook = tiny(), Notebook()
    after_an_epoch: State = {}

    def losses(batch: Batch) -> Losses:
        if len(notebook.progress) == 3:
            after_an_epoch.update({name: weight.detach().clone() for name, weight in model.named_parameters()})
        last = len(notebook.progress) == steps - 1
        rows = batch.targets.loss(model(batch.images))
        # Zero, with a gradient that no weight survives.
        cliff = sum(((weight - weight.detach()).sum() for weight in model.parameters()), torch.zeros(()))
        return Losses((LossTerm("cross_entropy", 1.0, rows), LossTerm("cliff", 1e38 * last, cliff[None])), len(rows))

    settings = SETTINGS.model_copy(update={"learning_rate": 100.0})
    outcome = trained(model, painted(24), tmp_path, notebook=notebook, losses=losses, settings=settings, steps=steps)
    assert outcome.status == "diverged"
    assert outcome.reason == f"the weights were not finite after step {steps - 1} of {steps} (epoch 1)"
    assert notebook.epochs == [0]
    _assert_kept(tmp_path, tiny, after_an_epoch)
