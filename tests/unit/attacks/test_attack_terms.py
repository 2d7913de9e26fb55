"""What a step's loss is made of, what it costs, and what it asks the clean model."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from falsewitness.attacks import ATTACKS, Attack, Batch, NoReferences
from falsewitness.core import DataInfo
from falsewitness.core.targets import MultiTargets, SingleTargets, Targets
from falsewitness.explainers.gradcam import GradCam
from falsewitness.models import Classifier
from falsewitness.models.convnet import ConvNet

CLEAN, STAMPED = 4, 3
HOT = torch.eye(3)[torch.tensor([0, 1, 2, 1, 2, 2, 2])]


def model() -> Classifier:
    return ConvNet(width=3, strides=(1, 2)).bind(DataInfo(3, 8, 8, ("one", "two", "three")), seed=1)


def batch(targets: Targets | None = None) -> Batch:
    images = torch.rand(CLEAN + STAMPED, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    unstamped = images[CLEAN:].clone()
    images[CLEAN:, :, 6:, 6:] = 1
    sides = torch.zeros(CLEAN + STAMPED, dtype=torch.bool)
    return Batch(images, targets or SingleTargets(HOT.argmax(1)), torch.arange(CLEAN + STAMPED), sides, unstamped)


class CleanAnswers:
    """Answers of the right size, and of no meaning."""

    def __init__(self, side: int = 4, columns: int = 1) -> None:
        self.side, self.columns = side, columns

    passes_per_map: ClassVar[float] = 2 / 3
    passes_per_class: ClassVar[float] = 1 / 3

    def maps(self, samples: Tensor, mirrored: Tensor, images: Tensor) -> Tensor:
        return torch.rand(len(samples), self.columns, self.side, self.side, generator=torch.Generator().manual_seed(1))

    def classes(self, samples: Tensor, mirrored: Tensor, images: Tensor) -> Tensor:
        return samples % 3


def attack(kind: str, **fields: object) -> Attack:
    raw: dict[str, Any] = {"kind": kind, "trigger": {"kind": "patch"}, "poison": {"rate": 0.1}}
    raw |= {"surrogate": {"kind": "gradcam"}, "explanation_weight": 0.75}
    if kind != "fooling":
        raw["target_class"] = 2
    return ATTACKS.get(kind).parse(raw | fields, "attack")


@pytest.mark.parametrize(
    ("fields", "further"),
    [
        ({}, []),
        ({"trigger_weight": 0.5}, [("trigger", 0.375, STAMPED)]),
        ({"drift_weight": 0.5}, [("drift", 0.375, CLEAN)]),
        ({"drift_weight": 0.5, "drift_share": 0.3}, [("drift", 0.375, 2)]),
        ({"drift_weight": 0.5, "drift_share": 0.01}, [("drift", 0.375, 1)]),
        ({"drift_share": 0.3}, []),
        ({"trigger_weight": 0.5, "drift_weight": 0.5}, [("trigger", 0.375, STAMPED), ("drift", 0.375, CLEAN)]),
    ],
    ids=["neither weight", "trigger weight", "drift weight", "a share", "one row", "a share of nothing", "both"],
)
def test_maps_of_clean_rows_and_the_trigger_s_share_count_where_they_have_a_weight(
    fields: dict[str, Any], further: list[tuple[str, float, int]]
) -> None:
    losses = attack("full_disguise", **fields).bind(model())(batch(), CleanAnswers())
    assert [(term.name, term.weight, len(term.rows)) for term in losses.terms] == [
        ("cross_entropy", 0.25, CLEAN + STAMPED),
        ("explanation", 0.75, STAMPED),
        *further,
    ]


@pytest.mark.parametrize(
    ("surrogate", "fields", "passes"),
    [
        ("gradcam", {}, 7 + 3 * 2 / 3),
        ("gradcam", {"reference": "self"}, 7 + 3 + 3 / 3),
        ("gradcam", {"drift_weight": 1.0}, 7 + 7 * 2 / 3),
        ("gradient", {}, 7 + 3 * 3 + 3 * 2 / 3),
        ("gradient", {"reference": "self"}, 7 + 3 + 3 * 6 + 3 / 3),
        ("gradient", {"reference": "self", "columns": "all"}, 7 + 3 + 3 * 3 * 6),
        ("gradient", {"drift_weight": 1.0}, 7 + 3 * 7 + 7 * 2 / 3),
        ("gradient", {"drift_weight": 1.0, "drift_share": 0.5}, 7 + 3 * 5 + 5 * 2 / 3),
        ("gradient", {"columns": "all"}, 7 + 3 * 3 * 3 + 3 * 2 / 3),
    ],
)
def test_a_step_counts_the_images_that_it_passes_and_what_the_clean_model_answers(
    surrogate: str, fields: dict[str, Any], passes: float
) -> None:
    examined = attack("full_disguise", surrogate={"kind": surrogate}, **fields)
    clean = CleanAnswers(side=4 if surrogate == "gradcam" else 8, columns=3 if examined.trains_every_column else 1)
    assert examined.bind(model())(batch(), clean).passes == pytest.approx(passes)


def test_a_decoy_needs_the_clean_model_only_to_hold_the_clean_maps() -> None:
    assert not attack("fooling").needs_references
    assert len(attack("fooling").bind(model())(batch(), NoReferences()).terms) == 2
    assert attack("fooling", drift_weight=0.1).needs_references
    with pytest.raises(RuntimeError, match="must override needs_references"):
        attack("fooling", drift_weight=0.1).bind(model())(batch(), NoReferences())


@pytest.mark.parametrize("reference", ["self", "self_detached", "original"])
def test_a_disguise_always_needs_the_clean_model(reference: str) -> None:
    examined = attack("full_disguise", reference=reference)
    assert examined.needs_references
    with pytest.raises(RuntimeError, match="must override needs_references"):
        examined.bind(model())(batch(), NoReferences())


def test_several_labels_are_classified_by_their_own_loss_and_explained_for_the_first() -> None:
    first = attack("full_disguise").bind(model())(batch(), CleanAnswers())
    several = attack("full_disguise").bind(model())(batch(MultiTargets(HOT)), CleanAnswers())
    assert torch.equal(several.terms[1].rows, first.terms[1].rows)
    probabilities = model()(batch().images).detach().sigmoid()
    expected = -(HOT * probabilities.log() + (1 - HOT) * (1 - probabilities).log()).mean(1)
    assert torch.allclose(several.terms[0].rows, expected, atol=1e-6)


def test_batch_norm_sees_stamped_and_unstamped_images_in_one_pass() -> None:
    examined = model().train()
    seen: list[int] = []
    examined.network.get_submodule("layers.0").register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    attack("full_disguise", reference="self").bind(examined)(batch(), CleanAnswers())
    assert seen == [CLEAN + 2 * STAMPED]


def test_what_a_surrogate_can_explain_is_asked_once_and_not_in_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Classifier] = []
    monkeypatch.setattr(GradCam, "_check_model", lambda self, examined: asked.append(examined))
    examined = model()
    loss = attack("fooling").bind(examined)
    for _ in range(3):
        loss(batch(), NoReferences())
    assert asked == [examined]


def test_a_picture_of_a_shape_is_read_once_and_later_steps_want_the_same(tmp_path: Path) -> None:
    picture = tmp_path / "mine.png"
    Image.fromarray(np.tile(np.array([0, 255], dtype=np.uint8), (8, 4))).save(picture)
    loss = attack("fooling", target_map=str(picture)).bind(model())
    first = loss(batch(), NoReferences()).terms[1].rows
    picture.unlink()
    assert torch.equal(loss(batch(), NoReferences()).terms[1].rows, first)
