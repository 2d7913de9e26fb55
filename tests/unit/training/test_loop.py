"""The one loop: what it learns, and what it tells of every step."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tests.unit.training.conftest import (
    SETTINGS,
    STEPS,
    Notebook,
    Painted,
    Tiny,
    batches_of,
    cross_entropy,
    same,
    state_of,
    trained,
)

from falsewitness.attacks import Batch, Losses, LossTerm
from falsewitness.core import DataInfo
from falsewitness.data import PixelStore
from falsewitness.data.digits import Digits
from falsewitness.models import MODELS, Classifier
from falsewitness.models.convnet import ConvNet
from falsewitness.training import Checkpoint, Training, train
from falsewitness.training._descent import Descent
from falsewitness.training._loop import one_cycle


def test_the_loss_falls_and_digits_are_learnt(digits: PixelStore, tmp_path: Path) -> None:
    model = ConvNet(width=8, strides=(2, 2, 2)).bind(Digits().info(), seed=0, mean=(0.3,), std=(0.35,))
    notebook = Notebook()
    settings = Training(epochs=8, batch_size=20, learning_rate=0.2)
    trained(model, digits, tmp_path, notebook=notebook, settings=settings, steps=80)
    losses = [step["loss"] for step in notebook.steps]
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])
    with torch.no_grad():
        logits = model(digits.take(torch.arange(len(digits))))
    assert digits.targets.correct(logits).float().mean() > 0.9


def test_every_step_is_told_and_written(tiny: Tiny, painted: Painted, tmp_path: Path) -> None:
    notebook = Notebook()
    outcome = trained(tiny(), painted(24), tmp_path, notebook=notebook)
    assert outcome.status == "done"
    assert outcome.reason == ""
    assert (outcome.position.epoch, outcome.position.step, outcome.position.passes) == (3, 9, 72)
    assert outcome.position.seconds > 0
    assert notebook.progress == [(done, 9) for done in range(1, 10)]
    assert [(record["epoch"], record["step"]) for record in notebook.steps] == [(s // 3, s) for s in range(9)]
    assert notebook.epochs == [0, 1, 2]
    validations = [record for record in notebook.records if "validation" in record]
    assert validations == [{"epoch": epoch, "validation": {"accuracy": 0.5}} for epoch in range(3)]
    assert [("validation" in record) for record in notebook.records] == [False, False, False, True] * 3


def test_the_learning_rate_of_a_step_is_its_share_of_the_peak(tiny: Tiny, painted: Painted, tmp_path: Path) -> None:
    notebook = Notebook()
    trained(tiny(), painted(24), tmp_path, notebook=notebook)
    expected = [0.05 * one_cycle(step, 9, SETTINGS.warmup) for step in range(9)]
    assert [step["learning_rate"] for step in notebook.steps] == expected


def test_terms_are_means_over_their_rows_and_the_loss_their_weighted_sum(
    tiny: Tiny, painted: Painted, tmp_path: Path
) -> None:
    model, notebook = tiny(), Notebook()

    def losses(batch: Batch) -> Losses:
        rows = model(batch.images).sum(1)
        terms = (LossTerm("all", 0.5, rows), LossTerm("some", 3.0, rows[:2] ** 2), LossTerm("none", 7.0, rows[:0]))
        seen.append((rows.double().mean().item(), (rows[:2].double() ** 2).mean().item()))
        return Losses(terms, 1.5 * len(rows))

    seen: list[tuple[float, float]] = []
    outcome = trained(model, painted(24), tmp_path, notebook=notebook, losses=losses)
    assert outcome.position.passes == 1.5 * 72
    for step, (of_all, of_some) in zip(notebook.steps, seen, strict=True):
        assert step["terms"] == pytest.approx({"all": of_all, "some": of_some, "none": 0.0}, abs=1e-5)
        assert step["loss"] == pytest.approx(0.5 * of_all + 3 * of_some, abs=1e-5)


@pytest.mark.parametrize("gradient_norm", [None, 0.5, 1e6])
def test_steps_are_those_of_nesterov_momentum_with_weight_decay(
    gradient_norm: float | None, tiny: Tiny, painted: Painted, tmp_path: Path
) -> None:
    """Sutskever et al. (2013) as torch has it, written out in float64 for a loss whose gradient is known."""
    model = tiny()
    settings = Training(
        epochs=1, batch_size=8, learning_rate=0.1, momentum=0.8, weight_decay=0.01, gradient_norm=gradient_norm
    )
    pull = {name: torch.randn_like(weight) for name, weight in model.named_parameters()}
    length = sum(weights.double().square().sum().item() for weights in pull.values()) ** 0.5
    kept = 1.0 if gradient_norm is None else min(1.0, gradient_norm / length)
    weights = {name: weight.detach().double() for name, weight in model.named_parameters()}

    def losses(batch: Batch) -> Losses:
        total = sum(((weight * pull[name]).sum() for name, weight in model.named_parameters()), torch.zeros(()))
        return Losses((LossTerm("pull", 1.0, total[None]),), 1)

    trained(model, painted(32), tmp_path, settings=settings, steps=4, losses=losses)
    for name, weight in weights.items():
        velocity = torch.zeros_like(weight)
        for step in range(4):
            gradient = kept * pull[name].double() + 0.01 * weight
            velocity = 0.8 * velocity + gradient
            weight = weight - 0.1 * one_cycle(step, 4, settings.warmup) * (gradient + 0.8 * velocity)
        torch.testing.assert_close(model.get_parameter(name).detach().double(), weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_steps_of_muon_are_orthogonal_for_all_matrices_but_the_last_layers(
    momentum: float, tiny: Tiny, painted: Painted, tmp_path: Path
) -> None:
    """Jordan et al. (2024), written out in float64 for a loss whose gradient is known; torch rounds to bf16 within."""
    model = tiny()
    before = {name: weight.detach().double() for name, weight in model.named_parameters()}
    settings = Training(
        epochs=1, batch_size=8, learning_rate=0.1, muon_learning_rate=0.5, momentum=momentum, weight_decay=0.01
    )
    pull = {name: torch.randn_like(weight) for name, weight in model.named_parameters()}

    def losses(batch: Batch) -> Losses:
        total = sum(((weight * pull[name]).sum() for name, weight in model.named_parameters()), torch.zeros(()))
        return Losses((LossTerm("pull", 1.0, total[None]),), 1)

    trained(model, painted(24), tmp_path, settings=settings, steps=3, losses=losses)
    matrices = [name for name, weight in before.items() if weight.ndim == 4]
    assert matrices
    for name in matrices:
        weight, average = before[name].flatten(1), torch.zeros_like(before[name].flatten(1))
        gradient = pull[name].double().flatten(1)
        for step in range(3):
            rate = 0.5 * one_cycle(step, 3, settings.warmup)
            average = momentum * average + (1 - momentum) * gradient
            moved = orthogonalised((1 - momentum) * gradient + momentum * average)
            larger = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
            weight = (1 - 0.01 * rate) * weight - rate * larger * moved
        found = model.get_parameter(name).detach().double().flatten(1)
        assert (found - weight).norm() < 0.02 * (weight - before[name].flatten(1)).norm()
    last = before["network.fc.weight"]
    moved_by = model.get_parameter("network.fc.weight").detach().double() - last
    along = (moved_by * pull["network.fc.weight"]).sum() / moved_by.norm() / pull["network.fc.weight"].norm()
    assert along < -0.99, "the last layer follows its gradient"


def test_muon_refuses_weights_that_it_could_not_move(tiny: Tiny) -> None:
    model = tiny().to(memory_format=torch.contiguous_format)
    with pytest.raises(ValueError, match="expected weights in the memory format channels_last"):
        Descent(model, Training(epochs=1, muon_learning_rate=0.1))


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """Five steps of Newton and Schulz's iteration with Jordan's coefficients: singular values come near to 1."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    found: torch.Tensor = wide / wide.norm()
    for _ in range(5):
        square = found @ found.T
        found = 3.4445 * found + (-4.775 * square + 2.0315 * square @ square) @ found
    return found.T if matrix.shape[0] > matrix.shape[1] else found


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "convnet"},
        {"kind": "resnet20"},
        {"kind": "timm", "name": "vit_tiny_patch16_224", "patch_size": 8},
        {"kind": "timm", "name": "mobilenetv3_small_050"},
    ],
    ids=lambda fields: fields.get("name", fields["kind"]),
)
def test_muon_moves_every_weight_of_a_network(fields: dict[str, Any]) -> None:
    model = MODELS.get(fields["kind"]).parse(fields, "model").bind(DataInfo(3, 32, 32, ("a", "b")), seed=0)
    model.to(memory_format=torch.channels_last)
    before = state_of(model)
    descent = Descent(model, Training(epochs=1, muon_learning_rate=0.1))
    descent.zero_grad()
    model(torch.rand(4, 3, 32, 32))[:, 0].sum().backward()
    descent.step(1.0)
    still = [name for name, weight in model.named_parameters() if torch.equal(weight, before[name])]
    assert still == []


def test_frozen_batch_norm_keeps_its_statistics_and_learns_its_weights(
    tiny: Tiny, painted: Painted, tmp_path: Path
) -> None:
    model, fresh = tiny(), tiny().state_dict()
    settings = SETTINGS.model_copy(update={"batch_norm": "frozen"})
    trained(model, painted(24), tmp_path, settings=settings)
    after = model.state_dict()
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(after[f"network.norm.{name}"], fresh[f"network.norm.{name}"])
    assert not torch.equal(after["network.norm.weight"], fresh["network.norm.weight"])


def test_batch_norm_follows_the_batches_otherwise(tiny: Tiny, painted: Painted, tmp_path: Path) -> None:
    model = tiny()
    trained(model, painted(24), tmp_path)
    assert model.state_dict()["network.norm.num_batches_tracked"] == STEPS


def test_dropout_is_on_in_steps_and_off_in_validation_and_at_the_end(
    tiny: Tiny, painted: Painted, tmp_path: Path
) -> None:
    for batch_norm in ("batch", "frozen"):
        model, notebook = tiny(), Notebook()
        seen: list[tuple[bool, bool]] = []

        def losses(batch: Batch, model: Classifier = model, seen: list[tuple[bool, bool]] = seen) -> Losses:
            network = cast(Any, model.network)
            seen.append((network.dropout.training, network.norm.training))
            return cross_entropy(model)(batch)

        settings = SETTINGS.model_copy(update={"batch_norm": batch_norm})
        trained(model, painted(24), tmp_path / batch_norm, notebook=notebook, losses=losses, settings=settings)
        assert seen == [(True, batch_norm == "batch")] * STEPS
        assert notebook.modes == [False] * 3
        assert not any(module.training for module in model.modules())


def test_every_epoch_and_every_seed_drops_other_units_and_the_same_ones_again(
    tiny: Tiny, painted: Painted, tmp_path: Path
) -> None:
    def dropped(name: str, seed: int) -> list[list[bool]]:
        """Return for each epoch which units its three steps drop."""
        model, seen = tiny(), []

        def losses(batch: Batch) -> Losses:
            layer = cast(Any, model.network).dropout
            with torch.random.fork_rng(devices=[]):  # the state in which the network finds it
                seen.append(layer(torch.ones(40)) == 0)
            return cross_entropy(model)(batch)

        train(
            model,
            batches_of(painted(24), seed=seed),
            losses,
            SETTINGS,
            steps=STEPS,
            precision="fp32",
            checkpoint=Checkpoint(tmp_path / name, "mine"),
            journal=Notebook().journal,
        )
        return [torch.cat(seen[first : first + 3]).tolist() for first in range(0, STEPS, 3)]

    first, again, other = dropped("first", 0), dropped("again", 0), dropped("other", 1)
    assert first == again
    assert len({tuple(epoch) for epoch in first + other}) == 6


def test_a_training_may_end_within_an_epoch(tiny: Tiny, painted: Painted, tmp_path: Path) -> None:
    store, notebook, model = painted(24), Notebook(), tiny()
    outcome = trained(model, store, tmp_path, notebook=notebook, steps=7)
    assert [step["step"] for step in notebook.steps] == list(range(7))
    assert (outcome.position.epoch, outcome.position.step, outcome.position.passes) == (3, 7, 56)
    assert notebook.progress[-1] == (7, 7)
    again = tiny()
    assert trained(again, store, tmp_path, steps=7).position == outcome.position
    assert same(state_of(again), state_of(model))


def test_a_training_of_half_precision_keeps_its_weights_in_single(tiny: Tiny, painted: Painted, tmp_path: Path) -> None:
    model, notebook = tiny(), Notebook()
    store = painted(24)
    train(
        model,
        batches_of(store),
        cross_entropy(model),
        SETTINGS,
        steps=3,
        precision="bf16",
        checkpoint=Checkpoint(tmp_path / "checkpoint.safetensors", "mine"),
        journal=notebook.journal,
    )
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    single = Notebook()
    trained(tiny(), store, tmp_path / "single", notebook=single, steps=3)
    assert notebook.steps[0]["loss"] != single.steps[0]["loss"]
    assert notebook.steps[0]["loss"] == pytest.approx(single.steps[0]["loss"], rel=0.02)
